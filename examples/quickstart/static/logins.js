// Ends the other logins of the person, with the CSRF token of Flask-JWT-Extended's cookie.

const button = document.getElementById("end-others");

button?.addEventListener("click", async () => {
  button.disabled = true;
  const csrf = document.cookie.match(/(?:^|; )csrf_access_token=([^;]*)/)?.[1] ?? "";
  const answer = await fetch(button.dataset.url, { method: "POST", headers: { "X-CSRF-TOKEN": csrf } });
  if (answer.ok) {
    location.reload();
  } else {
    document.getElementById("message").textContent = "That did not work. Please sign in again.";
  }
});
button?.removeAttribute("disabled"); // before this a click would have done nothing
