import fc from 'fast-check';
import { expect, it } from 'vitest';
import { tokenActor, whoOf, whoText } from '../../src/domain/actor.ts';

it('a token is shown by its name, and a rollout as itself', () => {
  expect(whoText(tokenActor('t_1q65ytlvcijm', 'ops laptop'))).toBe('ops laptop');
  expect(whoText('rollout:7')).toBe('rollout 7 (system)');
  for (const as of ['token:t_1q65ytlvcijm', 'coordinator', 'agent:h_1', 'anonymous', 'token:t_1  '])
    expect(whoText(as)).toBe(as);
});

it('no name makes a token look like a rollout of itself, or vanish', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 60 }), (name) => {
      const shown = whoText(tokenActor('t_1', name));
      expect(shown).toBe(name.trim() === '' ? `token:t_1 ${name}` : name.trim());
    }),
  );
});

it('a record names the token by id and name, the agent, the rollout, or who else it was', () => {
  expect(whoOf(tokenActor('t_1', 'ops laptop'))).toEqual({ kind: 'token', id: 't_1', name: 'ops laptop' });
  expect(whoOf('token:t_1')).toEqual({ kind: 'token', id: 't_1', name: '' });
  expect(whoOf('agent:h_1')).toEqual({ kind: 'agent', host: 'h_1' });
  expect(whoOf('rollout:7')).toEqual({ kind: 'rollout', rollout: 7 });
  for (const actor of ['coordinator', 'join-token', 'rollout:x', ''])
    expect(whoOf(actor)).toEqual({ kind: 'other', actor });
});
