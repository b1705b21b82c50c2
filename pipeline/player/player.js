"use strict";
// With this script a player has a button below the picture in place of the browser's own controls,
// which would lie over the mouth, and its place in time moves over the timeline.
for (const play of document.querySelectorAll(".play")) {
  const video = play.querySelector("video");
  const tracks = play.querySelector(".tracks");
  if (!video || !tracks) continue;
  const seconds = Number(play.querySelector(".timeline").dataset.seconds);
  const head = tracks.querySelector(".playhead");
  const keys = play.querySelector(".keys");
  const button = keys.querySelector("button");
  const time = keys.querySelector("output");
  const show = () => {
    head.style.left = 100 * Math.min(1, video.currentTime / seconds) + "%";
    time.textContent = video.currentTime.toFixed(1) + " of " + seconds.toFixed(1) + " s";
    button.textContent = video.paused || video.ended ? "Play" : "Pause";
  };
  const follow = () => {
    show();
    if (!video.paused && !video.ended) requestAnimationFrame(follow);
  };
  const toggle = () => (video.paused || video.ended ? video.play() : video.pause());
  head.hidden = keys.hidden = video.controls = false;
  play.classList.add("seeks");
  show();
  button.addEventListener("click", toggle);
  video.addEventListener("click", toggle);
  video.addEventListener("play", () => {
    for (const other of document.querySelectorAll("video")) if (other !== video) other.pause();
    follow();
  });
  for (const name of ["seeked", "timeupdate", "pause", "ended"]) video.addEventListener(name, show);
  tracks.addEventListener("click", (event) => {
    const box = tracks.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    video.currentTime = Math.min(share * seconds, seconds - 0.02);
    show();
  });
}
