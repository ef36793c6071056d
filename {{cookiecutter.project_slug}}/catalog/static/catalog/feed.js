// Shows each product the moment it is saved, and connects again when the connection is lost.
const feed = document.getElementById("feed");
const state = document.getElementById("feed-state");
const longestWait = 30_000;

function connect(wait = 1_000) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}${feed.dataset.path}`);

  socket.addEventListener("open", () => {
    state.textContent = "Listening.";
    wait = 1_000;
  });
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "product.saved") {
      const item = document.createElement("li");
      item.textContent = `${message.product.name}: ${message.product.price} (${message.product.stock} in stock)`;
      feed.prepend(item);
    }
  });
  socket.addEventListener("close", () => {
    state.textContent = `Connection lost; trying again in ${wait / 1_000} s.`;
    setTimeout(connect, wait, Math.min(2 * wait, longestWait));
  });
}

connect();
