"""SMS through Amazon SNS and email through Amazon SES, with boto3.

Without these bounds boto3 waits for a minute, and tries five times::

    config = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
    sns, ses = boto3.client("sns", config=config), boto3.client("ses", config=config)
    otp.send_code_handler(aws_sender(sns, ses, "no-reply@example.com"))
"""

from __future__ import annotations

from typing import Any

from flask_otp_auth.types import Method, Payload, SendCodeHandler


def aws_sender(sns: Any, ses: Any, sender: str) -> SendCodeHandler:
    """Return a sender for both methods.

    :param sns: a client of boto3, as *ses* is.
    :param sender: the verified address that the mails come from.
    """

    def send_code(code: str, identifier: str, method: Method, payload: Payload | None) -> bool:
        text = f"Your code is {code}. Never share it with anyone."
        if method == "sms":
            sms_type = {"DataType": "String", "StringValue": "Transactional"}
            answer = sns.publish(
                PhoneNumber=identifier,
                Message=text,
                MessageAttributes={"AWS.SNS.SMS.SMSType": sms_type},
            )
        else:
            answer = ses.send_email(
                Source=sender,
                Destination={"ToAddresses": [identifier]},
                Message={"Subject": {"Data": "Your login code"}, "Body": {"Text": {"Data": text}}},
            )
        return bool(answer["MessageId"])

    return send_code
