// Copy buttons. Where a proxy hid the reader's address from the server, the browser knows it.
const written = document.querySelector("#curl + pre code").textContent.match(/https?:\/\/[^/\s]+/)[0];

for (const pre of document.querySelectorAll("pre")) {
  const code = pre.firstElementChild;
  code.textContent = code.textContent.replaceAll(written, location.origin);
  if (!navigator.clipboard) continue; // only where the page is secure or on this machine
  const frame = document.createElement("div");
  frame.className = "code";
  pre.replaceWith(frame);
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${document.getElementById(pre.getAttribute("aria-labelledby")).textContent}`);
  frame.append(pre, button);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
    document.querySelector(".said").textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}
