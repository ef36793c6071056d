// Shows each product the moment it is saved, and connects again when the connection is lost.
const feed = document.getElementById("feed");
const state = document.getElementById("feed-state");
// Milliseconds before the first attempt to connect again, and at most.
const shortestWait = 1_000;
const longestWait = 30_000;
// Milliseconds after which a connection counts as good.
const goodAfter = 5_000;
// What the server closes a socket with whose user has logged out, or may no longer log in.
const sessionEnded = 4401;

function connect(wait = shortestWait) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}${feed.dataset.path}`);
  let good;

  socket.addEventListener("open", () => {
    state.textContent = "Listening.";
    // One that is closed at once, for the server is not ready yet, does not make the next wait a short one.
    good = setTimeout(() => (wait = shortestWait), goodAfter);
  });
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "product.saved") {
      const item = document.createElement("li");
      item.textContent = `${message.product.name}: ${message.product.price} (${message.product.stock} in stock)`;
      feed.prepend(item);
    }
  });
  socket.addEventListener("close", ({ code }) => {
    clearTimeout(good);
    if (code === sessionEnded) {
      // Whoever looks at the page should know before it goes on as somebody else.
      state.textContent = "You are no longer logged in. Load the page again to go on.";
      return;
    }
    // Not all clients at once: between half of the wait and all of it.
    const delay = wait * (0.5 + Math.random() / 2);
    state.textContent = `Connection lost; trying again in ${Math.ceil(delay / 1_000)} s. What is saved meanwhile is not shown.`;
    setTimeout(connect, delay, Math.min(2 * wait, longestWait));
  });
}

connect();
