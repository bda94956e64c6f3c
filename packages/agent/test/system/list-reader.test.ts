import { expect, test } from 'vitest';
import { listEntries } from '../../src/system/docker.ts';
import { ListReader } from '../../src/system/list-reader.ts';

function entry(id: string, status: string, labels: Record<string, string> = {}): object {
  return { Id: id, Names: [`/${id}`], Labels: labels, State: 'running', Status: status, Mounts: [] };
}

function counting(): { reader: ListReader; parsed: string[] } {
  const parsed: string[] = [];
  const reader = new ListReader((text) => {
    parsed.push(text);
    return listEntries(text);
  });
  return { reader, parsed };
}

test('an entry that has not changed is not parsed again, and is the same object', () => {
  const { reader, parsed } = counting();
  const first = reader.read(JSON.stringify([entry('a', 'Up 1 minute'), entry('b', 'Up 1 minute')]));
  parsed.length = 0;
  const second = reader.read(JSON.stringify([entry('a', 'Up 1 minute'), entry('b', 'Up 2 minutes')]));
  expect(parsed).toHaveLength(1);
  expect(second[0]).toBe(first[0]);
  expect(second[1]?.status).toBe('Up 2 minutes');
});

test('it reads what the plain parser reads, whatever the labels hold', () => {
  const tricky = { label: '[{"Id":"x"},{"Id":"y', 'quote"': '\\"},', empty: '', unicode: 'ü\u2028€' };
  const lists = [
    [],
    [entry('a', 'Up (healthy)', tricky)],
    [entry('a', 'Up'), entry('b', 'Exited (1) ago', tricky), entry('c', '')],
    [entry('c', 'Up'), entry('a', 'Up', tricky)],
  ];
  const reader = new ListReader(listEntries);
  for (const list of [...lists, ...lists]) {
    const text = JSON.stringify(list);
    expect(reader.read(`${text}\n`)).toEqual(listEntries(text));
  }
});

test('a list that is laid out otherwise is read as a whole', () => {
  const reader = new ListReader(listEntries);
  const nested = { ...entry('a', 'Up'), Inner: [{ Id: 'x', Names: ['}]'] }] };
  for (const text of [
    JSON.stringify([entry('a', 'Up'), entry('b', 'Up')], null, 2),
    JSON.stringify([{ State: 'running', ...entry('a', 'Up') }]),
    JSON.stringify([nested, entry('b', 'Up')]),
  ])
    expect(reader.read(text)).toEqual(listEntries(text));
});

test('what is no list is refused', () => {
  const reader = new ListReader(listEntries);
  for (const text of ['', '{}', '[{"Id":"a"', '[{"Id":"a}]']) expect(() => reader.read(text)).toThrow();
});
