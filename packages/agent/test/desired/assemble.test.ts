import { expect, test } from 'vitest';
import type { Desired } from '@berth/shared/protocol/messages';
import type { z } from 'zod';
import { createAssembler, MAX_ENTRIES } from '../../src/desired/assemble.ts';
import { tenant } from '../state/samples.ts';

type Message = z.infer<typeof Desired>;
const part = (fields: Partial<Message>): Message => ({
  type: 'desired',
  epoch: 1,
  revision: 2,
  base: null,
  digest: 'a'.repeat(64),
  part: 1,
  parts: 1,
  tenants: [],
  tombstones: [],
  forget: [],
  ...fields,
});

test('parts that follow each other become one state', () => {
  const assembler = createAssembler();
  expect(assembler.add(part({ parts: 2, tenants: [tenant('acme')] }))).toEqual({ kind: 'incomplete' });
  const done = assembler.add(part({ part: 2, parts: 2, tenants: [tenant('globex')], forget: ['hooli'] }));
  expect(done).toMatchObject({
    kind: 'complete',
    assembled: { base: null, tenants: [{ tenant: 'acme' }, { tenant: 'globex' }], forget: ['hooli'] },
  });
});

test.each([
  ['a second part without a first', [part({ part: 2, parts: 2 })]],
  ['a part that is left out', [part({ parts: 3 }), part({ part: 3, parts: 3 })]],
  ['a part of another revision', [part({ parts: 2 }), part({ part: 2, parts: 2, revision: 3 })]],
  ['more parts than were announced', [part({ part: 2, parts: 1 })]],
  ['a tenant that comes twice', [part({ tenants: [tenant('acme')], forget: ['acme'] })]],
  [
    'more entries than a host can have',
    [part({ forget: Array.from({ length: MAX_ENTRIES + 1 }, (_, index) => `t${index}`) })],
  ],
])('%s breaks the protocol', (_name, messages) => {
  const assembler = createAssembler();
  const results = messages.map((message) => assembler.add(message));
  expect(results.at(-1)?.kind).toBe('invalid');
  expect(assembler.add(part({ tenants: [tenant('acme')] })).kind).toBe('complete');
});

test('a new first part begins anew', () => {
  const assembler = createAssembler();
  assembler.add(part({ parts: 2, tenants: [tenant('acme')] }));
  expect(assembler.add(part({ revision: 3, tenants: [tenant('globex')] }))).toMatchObject({
    kind: 'complete',
    assembled: { revision: 3, tenants: [{ tenant: 'globex' }] },
  });
});
