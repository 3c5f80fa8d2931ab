async () => {
  /* The key of this page, 128 random bits. It is kept as long as the tab is open, so that the server finds what the page
     held when it is loaded anew, and goes with every request. A copy of a tab copies the key too; the lock tells which
     page had it first, and the other one takes a new key. */
  if (window.wctKey !== undefined) return [];
  window.wctKey = null;
  const NAME = "wctstyle-page";
  const WAIT_MS = 1000; // a tab that is being closed may still hold the lock
  const RELOAD_MS = 20000; // after a reload the page before may still hold it, on a busy machine for seconds
  const reloaded = performance.getEntriesByType("navigation")[0]?.type === "reload";
  const fresh = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const ask = (key, options) =>
    new Promise((resolve) => {
      const held = (lock) => (resolve(Boolean(lock)), lock && new Promise(() => {}));
      navigator.locks.request(`${NAME}-${key}`, options, held).catch((error) => resolve(!/Timeout|Abort/.test(error.name)));
    });
  const claim = async (key) => {
    if (!navigator.locks) return true; // only where the address is no secure one
    if (await ask(key, { ifAvailable: true })) return true; // however long the browser takes to answer
    return ask(key, { signal: AbortSignal.timeout(reloaded ? RELOAD_MS : WAIT_MS) });
  };
  try {
    let key = sessionStorage.getItem(NAME) || "";
    if (!/^[0-9a-f]{32}$/.test(key) || !(await claim(key))) {
      key = fresh();
      sessionStorage.setItem(NAME, key);
      await claim(key);
    }
    window.wctKey = key;
  } catch (error) {
    return []; // nothing may be stored here: the page is fresh each time
  }
  const send = window.fetch.bind(window);
  window.fetch = (address, options) => {
    if (!/\/gradio_api\/(queue\/join|run\/)/.test(String(address))) return send(address, options);
    const headers = new Headers((options || {}).headers);
    headers.set("x-wctstyle-page", window.wctKey);
    return send(address, { ...options, headers });
  };
  return [];
}
