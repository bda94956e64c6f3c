import { expect, test } from 'vitest';
import { signableOf } from '../../src/compose/signable.ts';
import { short, templateOf, web } from './support.ts';

function signable(text: string, set: Record<string, string> = {}) {
  return signableOf({ app: 'shop', release: 2, template: templateOf(text), set, images: {} });
}

function refusalsOf(text: string, set: Record<string, string> = {}): string[] {
  const result = signable(text, set);
  return result.ok ? [] : short(result.errors);
}

test('a variable of a tenant that reaches what runs is refused with its line', () => {
  for (const body of [
    'command: ["/app", "$X"]',
    'command: run ${X:-a}',
    'entrypoint: ["${X-/init}"]',
    'user: "${X:-1000}"',
    'working_dir: /${X:-a}',
    'healthcheck: { test: ["CMD", "${X:-true}"] }',
    'tmpfs: ["/${X:-tmp}"]',
    'sysctls: { net.core.somaxconn: "${X:-128}" }',
    'extra_hosts: ["api:${X:-10.0.0.1}"]',
    'x-berth: { profile: "${X:-restricted}" }',
    'x-berth: { route: { port: "${X:-80}" } }',
    'stop_signal: ${X:-SIGTERM}',
    'logging: { driver: "${X:-local}" }',
  ]) {
    const [refusal, ...more] = refusalsOf(web(body));
    expect([body, refusal]).toEqual([body, expect.stringContaining('holds the variable `X`')]);
    expect(refusal).toMatch(/^4:/);
    expect(more).toEqual([]);
  }
  const release = 'x-berth: { release: { service: web, command: ["/app/migrate", "${X:-up}"] } }';
  expect(refusalsOf(web('user: "1"', release))).toEqual([expect.stringContaining('x-berth.release')]);
});

test('the same variable is no matter when the release gives it', () => {
  expect(refusalsOf(web('command: ["/app", "$X"]'), { X: '1' })).toEqual([]);
  expect(refusalsOf(web('command: ["/app", "${X:-$Y}"]'), { X: '1' })).toEqual([]);
  expect(refusalsOf(web('command: ["/app", "${X:-$Y}"]'), { X: '' })).toHaveLength(1);
  expect(refusalsOf(web('command: ["/app", "${X:+$Y}"]'), { X: '' })).toEqual([]);
  expect(refusalsOf(web('command: ["/app", "$$X ${BERTH_APP} ${BERTH_RELEASE}"]'))).toEqual([]);
  expect(refusalsOf(web('command: ["/app", "${BERTH_TENANT}"]'))).toHaveLength(1);
});

test('an environment written as a list opens the same places as a mapping', () => {
  const result = signable(web('environment: ["A=${X}", "B=1", "C", "D=${V}"]'), { V: '2' });
  expect(result).toMatchObject({ signable: { open: { web: { environment: ['A', 'C'], parts: [] } } } });
  expect(refusalsOf(web('environment: ["${X:-A}=1"]'))).toHaveLength(1);
});

test('what environment says of a name counts, not what an env file did', () => {
  const text = web('env_file: a.env\nenvironment: { A: "1" }');
  const template = templateOf(text, { 'a.env': 'A=${X}\nB=${X}\nC=1\nD=${C}\n' });
  const result = signableOf({ app: 'shop', release: 2, template, set: {}, images: {} });
  expect(result).toMatchObject({ signable: { open: { web: { environment: ['B', 'D'] } } } });
});
