from flask import Flask
from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.delivery import Delivery
from flask_pymongo import PyMongo

app = Flask(__name__)
app.config.from_prefixed_env()  # FLASK_SECRET_KEY and FLASK_MONGO_URI
mongo = PyMongo(app)
otp = FlaskOtpAuth(app, mongo=mongo)
Delivery(otp, console=True)  # prints codes until FLASK_OTP_AUTH_EMAIL_URLS is set


@otp.get_user_handler
def get_user(identifier, method, payload):  # called after a correct code
    user = {"_id": identifier}
    mongo.db.users.update_one(user, {"$set": user}, upsert=True)  # signs up new users
    return user
