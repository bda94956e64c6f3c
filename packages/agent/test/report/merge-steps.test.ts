import { expect, test } from 'vitest';
import type { AgentEvent } from '@berth/shared/protocol/report';
import { mergeSteps } from '../../src/report/merge-steps.ts';

let count = 0;
function step(name: string, state: 'started' | 'done' | 'failed', tenant = 'acme'): AgentEvent {
  count += 1;
  return {
    id: `s-${count}`,
    at: count,
    tenant,
    generation: 2,
    kind: 'tenant.step',
    message: `${name} ${state}`,
    details: { step: name, state, ms: state === 'started' ? null : 3 },
  };
}
const other = (): AgentEvent => ({ ...step('x', 'done'), kind: 'tenant.live', details: {} });
const words = (events: readonly AgentEvent[]): string[] => events.map((event) => event.message);

test('a step whose end waits too is told once, with its title', () => {
  const merged = mergeSteps([step('pull', 'started'), step('pull', 'done'), step('start', 'started')]);
  expect(words(merged)).toEqual(['pull done', 'start started']);
  expect(merged[0]?.details).toMatchObject({ step: 'pull', state: 'done', title: 'pull started' });
});

test('a failed step keeps its title as well, and steps of other tenants stay apart', () => {
  const merged = mergeSteps([
    step('pull', 'started'),
    step('pull', 'started', 'globex'),
    step('pull', 'failed'),
  ]);
  expect(words(merged)).toEqual(['pull started', 'pull failed']);
  expect(merged[0]?.tenant).toBe('globex');
  expect(merged[1]?.details).toMatchObject({ state: 'failed', title: 'pull started' });
});

test('a step that is run twice is told twice', () => {
  const merged = mergeSteps([
    step('stop', 'started'),
    step('stop', 'done'),
    step('stop', 'started'),
    step('stop', 'done'),
  ]);
  expect(words(merged)).toEqual(['stop done', 'stop done']);
});

test('the end of a step that was begun before is told as it is, and other events keep their places', () => {
  const live = other();
  const events = [step('start', 'done'), live, step('drain', 'started')];
  expect(mergeSteps(events)).toEqual(events);
});
