"""SMS with Twilio's SDK: ``otp.send_code_handler(twilio_sender(client, "+15555550199"))``.

Give the client a timeout, since it has none::

    client = Client(sid, token, http_client=TwilioHttpClient(timeout=10))
"""

from __future__ import annotations

from twilio.rest import Client

from flask_otp_auth.types import Method, Payload, SendCodeHandler


def twilio_sender(client: Client, number: str) -> SendCodeHandler:
    """Return a sender of SMS.

    :param number: your number, from which the messages are sent.
    """

    def send_code(code: str, identifier: str, method: Method, payload: Payload | None) -> bool:
        message = client.messages.create(
            to=identifier,
            from_=number,
            body=f"Your code is {code}. Never share it with anyone.",
        )
        return message.status not in ("failed", "undelivered", "canceled")

    return send_code
