// The video and the scores over time: a cursor follows what plays, a click seeks.
const video = document.querySelector("#player video"), over = document.getElementById("over");
const cursor = document.getElementById("cursor"), now = document.getElementById("now");
const clips = [...document.querySelectorAll("tr[data-start]")].map(row => row.dataset);
const seconds = Number(over.dataset.seconds);
// Where time begins and ends on the page, in whichever of the two pictures is shown.
function span() {
  const picture = [...over.querySelectorAll("svg")].find(svg => svg.getClientRects().length);
  const scale = picture.clientWidth / picture.viewBox.baseVal.width;
  const left = over.dataset.left * scale;
  return { left, width: picture.clientWidth - left - over.dataset.right * scale };
}
function show() {
  const { left, width } = span(), at = Math.min(video.currentTime, seconds);
  cursor.style.left = left + at / seconds * width + "px";
  cursor.hidden = false;
  const away = clip => Math.abs((Number(clip.start) + Number(clip.end)) / 2 - at);
  const nearest = clips.reduce((a, b) => away(b) < away(a) ? b : a, clips[0]);
  if (nearest) now.textContent = nearest.label + ", " + nearest.score;
}
function follow() {
  show();
  if (!video.paused && !video.ended) requestAnimationFrame(follow);
}
function seek(at) {
  video.currentTime = Math.max(0, Math.min(at, seconds));
  show();
}
over.classList.add("seeks");
over.addEventListener("click", event => {
  const { left, width } = span();
  seek((event.clientX - over.getBoundingClientRect().left - left) / width * seconds);
});
for (const button of document.querySelectorAll("button[data-at]"))
  button.addEventListener("click", () => seek(Number(button.dataset.at)));
video.addEventListener("play", follow);
for (const event of ["timeupdate", "seeked", "loadedmetadata"]) video.addEventListener(event, show);
function lost() {
  document.getElementById("player").hidden = true;
  document.getElementById("gone").hidden = false;
  cursor.hidden = true;
}
video.addEventListener("error", lost);
if (video.error) lost();  // before this script ran
addEventListener("resize", show);
