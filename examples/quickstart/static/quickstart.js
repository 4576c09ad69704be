// Signs out; and signs in again without a code where only the access token has expired.

const { client, api, user } = document.body.dataset;
const { OtpError, configure, logout, refresh } = await import(client);
configure({ baseUrl: api });

const message = document.getElementById("message");
const button = document.getElementById("logout");

button?.addEventListener("click", async () => {
  button.disabled = true;
  try {
    await logout();
    location.reload();
  } catch (error) {
    message.textContent = error instanceof OtpError ? error.message : String(error);
    button.disabled = false;
  }
});
button?.removeAttribute("disabled"); // before this a click would have done nothing

if (!user && document.cookie.includes("csrf_refresh_token=")) {
  try {
    await refresh();
    location.reload();
  } catch {
    // the login has ended: there is a link to a new one
  }
}
