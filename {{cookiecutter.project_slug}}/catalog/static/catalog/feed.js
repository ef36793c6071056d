// Shows each product when it is saved. Reconnects when the connection is lost.
const feed = document.getElementById("feed");
const state = document.getElementById("feed-state");
// Milliseconds before a reconnect. The delay doubles with each failed attempt.
const minDelay = 1_000;
const maxDelay = 30_000;
// Milliseconds after which a connection counts as stable, so that the next delay is short again.
const stableAfter = 5_000;
// The close code for a session that has ended: the user has logged out or may no longer log in.
const SESSION_ENDED = 4401;

function connect(delay = minDelay) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}${feed.dataset.path}`);
  let stable;

  socket.addEventListener("open", () => {
    state.textContent = "Connected.";
    // A server that is still starting may close the connection at once. The delay must not start over then.
    stable = setTimeout(() => (delay = minDelay), stableAfter);
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
    clearTimeout(stable);
    if (code === SESSION_ENDED) {
      // A reconnect would go on as another user, or as none. The person at the browser should know that first.
      state.textContent = "You are logged out. Reload the page to continue.";
      return;
    }
    // Random jitter between half of the delay and all of it keeps clients from reconnecting at the same time.
    const jittered = delay * (0.5 + Math.random() / 2);
    state.textContent = `Connection lost. Reconnecting in ${Math.ceil(jittered / 1_000)} s. Products saved until then are not shown.`;
    setTimeout(connect, jittered, Math.min(2 * delay, maxDelay));
  });
}

connect();
