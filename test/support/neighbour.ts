import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { Place } from './load.ts';

/** A WebSocket that a neighbour's visitor keeps open: it must not notice what happens to others. */
export interface Neighbour {
  /** Sends a word and waits for its echo. */
  talk(word: string): Promise<string>;
  state(): 'open' | 'cut';
  close(): void;
}

export async function openNeighbour(place: Place): Promise<Neighbour> {
  const socket = new WebSocket(`ws://${place.address}:${place.port}${place.path ?? '/ws'}`, {
    headers: { host: place.domain },
  });
  await once(socket, 'open');
  let cut = false;
  socket.on('close', () => (cut = true));
  socket.on('error', () => (cut = true));
  return {
    async talk(word) {
      const heard = once(socket, 'message', { signal: AbortSignal.timeout(5_000) });
      socket.send(word);
      const [message] = (await heard) as [unknown];
      return String(message);
    },
    state: () => (cut ? 'cut' : 'open'),
    close: () => socket.terminate(),
  };
}
