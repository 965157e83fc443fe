// Asks without loading the page anew, so that the picture stays chosen. Without this the form works, too.
const form = document.getElementById("question");
const answer = document.getElementById("answer");
let asked = 0;

async function ask(button) {
  if (!form.reportValidity()) return;
  const mine = ++asked;
  answer.setAttribute("aria-busy", "true");
  let content;
  try {
    const response = await fetch("/", { method: "POST", body: new FormData(form, button) });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    content = page.getElementById("answer").childNodes;
  } catch {
    content = document.createElement("p");
    content.className = "error";
    content.textContent = "No answer. Is deepres app still running, and the picture smaller than 100 MiB?";
    content = [content];
  }
  if (mine !== asked) return; // there is a later question
  answer.replaceChildren(...content);
  answer.removeAttribute("aria-busy");
}

addEventListener("submit", (event) => {
  event.preventDefault();
  ask(event.submitter);
});
form.addEventListener("change", () => form.picture.files.length && ask());

// A picture may be dropped anywhere.
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", () => document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (!event.dataTransfer.files.length) return;
  form.picture.files = event.dataTransfer.files;
  ask();
});
