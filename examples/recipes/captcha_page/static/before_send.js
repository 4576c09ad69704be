// Solves the captcha before a code is sent. Its provider's script has defined window.captcha.

document.addEventListener("otp:before-send", ({ detail }) => {
  const solved = window.captcha.solve(); // a promise of the proof
  detail.wait(
    solved.then((proof) => {
      detail.headers["Captcha-Token"] = proof;
    }),
  );
});
