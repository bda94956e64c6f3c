import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { realDisk } from '../../src/state/disk.ts';
import { openState } from '../../src/state/open.ts';
import { setAside } from '../../src/state/set-aside.ts';
import { signerPair, statementOf } from '../support/signers.ts';

const clock = { now: () => 7 };
const ci = signerPair('ci');
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-pinned-'));
});
afterEach(() => rmSync(dir, { recursive: true }));
const open = () => openState(dir, { clock });
const file = (): string => join(dir, 'signers.json');

it('what is pinned is there after a restart, and with a new identity', async () => {
  const first = statementOf(1, [ci], [ci]);
  const state = await open();
  expect(state.signers.current()).toBeNull();
  await state.signers.pin(first);
  await state.identity.renew();
  const again = await open();
  expect(again.signers.current()).toEqual(first);
  expect(again.quarantined).toEqual([]);
});

it('what cannot be read, or was edited, is set aside and told of, and the host begins anew', async () => {
  const { signers } = await open();
  await signers.pin(statementOf(1, [ci], [ci]));
  const text = readFileSync(file(), 'utf8');
  for (const broken of [text.slice(0, -20), text.replace('"required":true', '"required":false'), '', '{}']) {
    writeFileSync(file(), broken);
    const state = await open();
    expect(state.signers.current()).toBeNull();
    expect(state.quarantined).toEqual([file()]);
    expect(readdirSync(dir)).toContain('signers.json.corrupt-7');
  }
});

it('a disk that was copied to another machine leaves it behind with the identity', async () => {
  const { signers } = await open();
  await signers.pin(statementOf(1, [ci], [ci]));
  const aside = await setAside(dir, 'i-1', realDisk, clock);
  expect(readdirSync(aside)).toContain('signers.json');
  expect((await open()).signers.current()).toBeNull();
});
