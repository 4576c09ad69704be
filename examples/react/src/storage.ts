/**
 * Values that all tabs share, in IndexedDB.
 *
 * Not in localStorage, where a tab may still read what another tab has replaced a moment ago.
 */
const STORE = "values";

const opened = new Promise<IDBDatabase>((resolve, reject) => {
  const request = indexedDB.open("otp", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function transact<T>(
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const database = await opened;
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const request = work(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error);
  });
}

export function load<T>(name: string): Promise<T | undefined> {
  return transact("readonly", (store) => store.get(name));
}

export async function save(name: string, value: unknown): Promise<void> {
  await transact("readwrite", (store) => store.put(value, name));
}

export function remove(name: string): Promise<void> {
  return transact("readwrite", (store) => store.delete(name));
}
