import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createNotes } from '../../src/services/fleet-notes.ts';
import { MemoryFleetStore } from '../../../../test/fakes/fleet-store.ts';
import { hostId } from '../support/samples.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };
let store: MemoryFleetStore;

beforeEach(() => {
  vi.useFakeTimers();
  store = new MemoryFleetStore();
});
afterEach(() => void vi.useRealTimers());

function notesOn() {
  const clock = { now: () => Date.now() };
  const notes = createNotes({ store, clock, log, tickMs: 10 });
  const comes = (number: number): void =>
    notes.connection({ kind: 'offline', host: hostId(number), at: clock.now() });
  return { notes, comes };
}

test('a host that comes alone is noted at once', async () => {
  const { notes, comes } = notesOn();
  comes(1);
  await vi.advanceTimersByTimeAsync(20);
  expect(store.notes).toHaveLength(1);
  await notes.stop();
});

test('a storm is noted when it is over, everyone in the order they came', async () => {
  const { notes, comes } = notesOn();
  for (let number = 0; number < 1200; number += 1) {
    comes(number);
    // Four hundred of them a second.
    if (number % 4 === 3) await vi.advanceTimersByTimeAsync(10);
  }
  // The first few had been alone when they were looked at.
  expect(store.notes.length).toBeLessThan(64);
  await vi.advanceTimersByTimeAsync(2000);
  expect(store.notes.map((note) => note.host)).toEqual(Array.from({ length: 1200 }, (_, n) => hostId(n)));
  expect(store.calls['noteConnections']).toBeLessThan(8);
  await notes.stop();
});

test('a storm that does not end is noted all the same', async () => {
  const { notes, comes } = notesOn();
  for (let number = 0; number < 700; number += 1) {
    comes(number);
    await vi.advanceTimersByTimeAsync(10);
  }
  expect(store.notes.length).toBeGreaterThan(300);
  await notes.stop();
});

test('a stop in the middle of a storm notes what is known', async () => {
  const { notes, comes } = notesOn();
  for (let number = 0; number < 1200; number += 1) comes(number);
  await notes.stop();
  expect(store.notes).toHaveLength(1200);
});
