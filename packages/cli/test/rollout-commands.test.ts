import type { Event } from '@berth/shared/api/schemas';
import { BerthError } from '@berth/shared/domain/errors';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import type { RolloutAct } from '@berth/shared/domain/rollout';
import { fakeApi, type Answers } from './support/fake-api.ts';
import * as long from './support/long.ts';
import { tenantEvent } from './support/fake-coordinator.ts';
import {
  completed,
  counts,
  rolloutEvent,
  rolloutShown,
  rolloutTenant,
  traffic,
  waveView,
} from './support/rollouts.ts';
import { run } from './support/run.ts';

let fake: Awaited<ReturnType<typeof fakeApi>>;
afterEach(async () => {
  await fake.close();
});
const serve = async (answers: Answers): Promise<void> => {
  fake = await fakeApi(answers);
};
const berth = (line: string, more: readonly string[] = []) => run(fake.url, [...line.split(' '), ...more]);
const linesOf = (text: string): unknown[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

describe('rollout watch', () => {
  test('is JSON lines: the rollout when its state changed, and each event once', async () => {
    const events: Event[] = [];
    /** Each look is followed by an event, half of which no open stream brings. */
    const next = (how: (event: Event) => void): void => {
      const event = rolloutEvent('rollout.tenant', { wave: 1, progress: { kind: 'pending' } }, 'acme');
      events.push(event);
      how(event);
    };
    let asked = 0;
    await serve({
      showRollout: () => {
        asked += 1;
        if (asked === 2) fake.cut();
        next(asked % 2 === 0 ? fake.emitUnseen : fake.emit);
        return asked < 4 ? rolloutShown({ updatedAt: asked }) : completed();
      },
    });
    next(fake.emit);
    const { code, out } = await berth('rollout watch 7 --json');
    expect(code).toBe(0);
    const lines = linesOf(out);
    expect(lines.filter((line) => line instanceof Object && 'kind' in line)).toEqual(events);
    expect(lines.filter((line) => line instanceof Object && 'state' in line)).toEqual([
      rolloutShown({ updatedAt: 1 }),
      completed(),
    ]);
  });

  test('of an app is the one under way and not one queued behind it, goes on while it is paused, and says what holds it', async () => {
    const paused = rolloutShown({ state: { kind: 'paused', by: 'operator', reason: 'lunch' } });
    const waits = (minutes: number) =>
      rolloutShown({ held: `1 outside their window (the next opens in ${minutes} min).` });
    const states = [paused, paused, waits(47), waits(46), completed()];
    await serve({
      listRollouts: () => ({
        items: [rolloutShown({ rollout: 8, state: { kind: 'queued' } }), paused, completed({ rollout: 6 })],
        next: '6',
      }),
      showRollout: () => {
        fake.emit(rolloutEvent('rollout.state', { state: paused.state }));
        return states.shift() ?? completed();
      },
    });
    const { code, out } = await berth('rollout watch shop');
    expect(code).toBe(0);
    expect(fake.askedOf('listRollouts')[0]?.query).toEqual({ app: 'shop', limit: '50' });
    expect(fake.askedOf('showRollout')[0]?.params).toEqual({ rollout: '7' });
    expect(out).toContain('rollout 7 of shop to release 13: paused: lunch\n');
    expect(out.match(/held: .*/g)).toEqual(['held: 1 outside their window (the next opens in 47 min).']);
    expect(out).toContain('✓ rollout 7 of shop to release 13: completed');
  });

  test('says of a rollout that has ended which waves nobody could judge', async () => {
    const passed = (judged: string) => ({ kind: 'passed' as const, at: 1, judged });
    const waves = [
      waveView(1, 50, { state: passed('not judged: 0 requests since the move; 50 are needed') }),
      waveView(2, 100, { state: passed('good') }),
    ];
    await serve({ showRollout: () => completed({ waves }) });
    const { out } = await berth('rollout watch 7');
    expect(out).toContain('\n  not judged by requests: wave 1; why: berth rollout status 7\n');
  });

  test('says on stderr when the coordinator does not answer and when it is back, also with --json', async () => {
    for (const format of ['', ' --json']) {
      let asked = 0;
      await serve({
        showRollout: () => {
          asked += 1;
          if (asked === 2) throw new BerthError('unavailable', 'It is starting.');
          return asked < 4 ? rolloutShown() : completed();
        },
      });
      const { code, out, err } = await berth(`rollout watch 7${format}`);
      expect(code).toBe(0);
      expect(err).toBe(
        'the coordinator does not answer; trying again (the tenants go on)\nthe coordinator is back\n',
      );
      if (format !== '') expect(linesOf(out)).toHaveLength(2);
      await fake.close();
    }
    await serve({});
  });

  test('ends when a failure halts it, with what one can do then', async () => {
    await serve({
      showRollout: () => rolloutShown({ state: { kind: 'paused', by: 'failure', reason: 'acme failed' } }),
    });
    const { code, out } = await berth('rollout watch 7');
    expect(code).toBe(1);
    expect(out).toContain('✗ rollout 7 of shop to release 13: halted: acme failed');
    expect(out).toContain('Then one of: berth rollout resume 7, retry 7, rollback 7, abort 7');
  });

  test('on a terminal draws waves, tenants under way with their step, and rates before and after, in place', async () => {
    const looked = {
      before: traffic(100, 50),
      after: traffic(100, 300, 12),
      verdict: { kind: 'bad' as const, why: 'errors rose by 12%' },
    };
    const now = rolloutShown({ waves: [waveView(1, 50, { traffic: looked }), waveView(2, 100)] });
    let asked = 0;
    await serve({
      showRollout: () => {
        asked += 1;
        fake.emit(rolloutEvent('rollout.wave', { wave: 1, state: { kind: 'moving', since: 1 } }));
        return asked < 3 ? now : completed();
      },
      rolloutTenants: () => ({
        items: [
          rolloutTenant('acme', {
            progress: { kind: 'moving', generation: 2, since: Date.now() - 3000 },
            step: 'wait until web is healthy',
          }),
          rolloutTenant('globex', { progress: { kind: 'skipped', reason: 'window' } }),
        ],
        next: null,
      }),
    });
    const { code, out } = await run(fake.url, ['rollout', 'watch', '7'], { tty: 'terminal' });
    expect(code).toBe(0);
    // The terminal of this test is 60 columns wide, so that the hosts are left out.
    const frame = out.split('\u001b[J')[0] ?? '';
    expect(frame).toMatch(/rollout 7.*shop to release 13.*running/);
    expect(stripVTControlCharacters(frame)).toMatch(/acme +1 +moving +3\.\d s +wait until web is healthy\n/);
    expect(frame).toContain('skipped: globex (outside of its window)');
    expect(out).toContain('\u001b[J');
    expect(out.trimEnd().split('\n').slice(-2).join('\n')).toMatch(/completed.*\n {2}2 of 2 serve it/);
    expect(fake.askedOf('rolloutTenants')[0]?.query).toEqual({ limit: '1000', wave: '1' });
  });

  test('that is ended by Ctrl-C leaves the rollout alone', async () => {
    const stop = new AbortController();
    await serve({
      showRollout: () => {
        if (fake.askedAfter.length > 0) stop.abort();
        return rolloutShown();
      },
    });
    const { code, out } = await run(fake.url, ['rollout', 'watch', '7'], { signal: stop.signal });
    expect(out).toContain('No longer watching; the rollout goes on. See: berth rollout status 7');
    expect(code).toBe(0);
    expect(new Set(fake.calls.map((call) => call.route))).toEqual(new Set(['showRollout']));
  });
});

describe('rollout list, status, history', () => {
  const looked = {
    before: traffic(1000, 50, 4),
    after: traffic(100, 300, 12),
    verdict: { kind: 'bad' as const, why: 'errors rose from 0.4% to 12%' },
  };
  const halted = rolloutShown({
    state: { kind: 'paused', by: 'failure', reason: 'acme failed' },
    waves: [
      waveView(1, 50, {
        state: { kind: 'failed', at: 1, why: 'too many errors' },
        counts: counts({ failed: 1, live: 1 }),
        traffic: looked,
      }),
      waveView(2, 100, {
        traffic: { ...looked, verdict: { kind: 'not-judged', why: 'only 3 requests' } },
      }),
    ],
    counts: counts({ failed: 1, live: 1, pending: 1 }),
    failures: 1,
    endedAt: 121_000,
  });

  test('list is one line each, newest first', async () => {
    await serve({ listRollouts: () => ({ items: [halted], next: null }) });
    const { out } = await berth('rollout list shop');
    expect(out).toBe(
      'ID  APP   TO  STATE   WAVE    SERVE IT  FAILURES  STARTED              TOOK\n' +
        '7   shop  13  halted  1 of 2  1 of 3    1         1970-01-01 00:00:01  2 min\n',
    );
    expect(fake.askedOf('listRollouts')[0]?.query).toEqual({ app: 'shop', limit: '50' });
    expect(JSON.parse((await berth('rollout list --json')).out)).toEqual({ items: [halted] });
  });

  test('history says who, when, what, how long, and why it stopped', async () => {
    await serve({ listRollouts: () => ({ items: [halted], next: null }) });
    const { out } = await berth('rollout history shop');
    expect(out).toBe(
      'WHEN                 WHO  WHAT                       TOOK   HOW IT ENDED\n' +
        '1970-01-01 00:00:01  ada  7: release 13 by 50%,100%  2 min  halted: acme failed\n' +
        '7: 5xx 0.4% → 12%, p95 49 ms → 295 ms\n',
    );
  });

  test('what stopped a rollout and what people did to it is told also when it is over', async () => {
    const acts: RolloutAct[] = [
      { at: 2000, by: null, what: 'halted', wave: 1, why: 'acme failed' },
      { at: 3000, by: null, what: 'wave-rolled-back', wave: 1, why: null },
      { at: 4000, by: 'token:t_1 ada', what: 'retried', wave: 1, why: 'fixed' },
    ];
    const one = completed({ acts });
    await serve({
      showRollout: () => one,
      listRollouts: () => ({ items: [one, completed({ rollout: 6 })], next: null }),
      rolloutTenants: () => ({ items: [], next: null }),
    });
    const told =
      'WHEN                 WHO     DID                 WAVE  WHY\n' +
      '1970-01-01 00:00:02  itself  halted              1     acme failed\n' +
      '1970-01-01 00:00:03  itself  took its wave back  1\n' +
      '1970-01-01 00:00:04  ada     retried             1     fixed\n';
    expect((await berth('rollout status 7')).out).toContain(told);
    const alone = await berth('rollout history 7');
    expect(alone.out).toContain('7: release 13 by 50%,100%  60 s  completed\n');
    expect(alone.out).toContain(told);
    expect((await berth('rollout history shop')).out).toContain(
      '7   1970-01-01 00:00:04  ada     retried             1     fixed\n',
    );
    expect(JSON.parse((await berth('rollout history 7 --json')).out)).toEqual({ items: [one] });
  });

  test('who went back is not counted among the failed, and no wave of what is over is still to come', async () => {
    const waves = [
      waveView(1, 50, { state: { kind: 'rolled-back', at: 1 }, counts: counts({ failed: 1, returned: 2 }) }),
      waveView(2, 75, { state: { kind: 'aborted', at: 1 }, counts: counts({ pending: 1 }) }),
      waveView(3, 100, { counts: counts({ pending: 1 }) }),
    ];
    const state = { kind: 'aborted' as const, reason: 'by ada' };
    await serve({
      showRollout: () => rolloutShown({ waves, state, endedAt: 9000 }),
      rolloutTenants: () => ({ items: [], next: null }),
    });
    const { out } = await berth('rollout status 7');
    expect(out).toMatch(/^WAVE +WHO +STATE +SERVE IT +FAILED +RETURNED$/m);
    expect(out).toMatch(/^1 +50% +rolled back +0 of 3 +1 +2$/m);
    expect(out).toMatch(/^2 +75% +aborted +0 of 1 +0 +0$/m);
    expect(out).toMatch(/^3 +100% +not begun +0 of 1 +0 +0$/m);
  });

  test('status shows the waves with their rates, and each tenant somebody has to know of', async () => {
    const problem = { code: 'traffic_worse' as const, message: 'errors rose' };
    await serve({
      listEvents: () => ({
        items: [tenantEvent('tenant.failed', 'It failed.', { problem: { logTail: ['no such table'] } })],
        last: 1,
      }),
      showRollout: () => halted,
      rolloutTenants: () => ({
        items: [
          rolloutTenant('acme', {
            progress: {
              kind: 'failed',
              generation: 2,
              at: 1,
              problem,
              stays: 'its migration is irreversible.',
            },
            traffic: looked,
          }),
          rolloutTenant('globex', { progress: { kind: 'live', generation: 2, since: 1 } }),
          rolloutTenant('initech', { wave: 2, progress: { kind: 'skipped', reason: 'pinned' } }),
        ],
        next: null,
      }),
    });
    const { code, out } = await berth('rollout status 7');
    expect(code).toBe(0);
    expect(out).toContain('state     halted: acme failed');
    expect(out).toContain('failures  1 (0 allowed)');
    expect(out).toMatch(/^1 +50% +failed +1 of 2 +1 +0\.4% → 12% +\d+ ms → \d+ ms$/m);
    expect(out).toContain('\nwave 1: bad: errors rose from 0.4% to 12%; too many errors\n');
    expect(out).toContain('\nwave 2: not judged: only 3 requests\n');
    expect(out).toMatch(
      /^acme: .*; errors rose It is not taken back: its\n {2}migration is irreversible\.$/m,
    );
    expect(out).toMatch(/^initech +2 +box +skipped: it is pinned$/m);
    expect(out).not.toContain('globex');
    expect(out).toContain('\nlast log lines of acme\n  │ no such table\n');
    expect(fake.askedOf('listEvents')[0]?.query).toMatchObject({ tenant: 'acme', kind: 'tenant.failed' });
    const both = JSON.parse((await berth('rollout status 7 --json')).out) as Record<string, unknown>;
    expect(both).toMatchObject({ rollout: 7, tenants: [{ tenant: 'acme' }, {}, {}] });
  });

  test('what an aborted rollout has sent back is not said to be on its way for ever', async () => {
    await serve({
      showRollout: () =>
        rolloutShown({
          state: { kind: 'aborted', reason: 'by token:t_1' },
          counts: counts({ returning: 1, pending: 1 }),
          endedAt: 2000,
        }),
      rolloutTenants: () => ({
        items: [
          rolloutTenant('acme', {
            progress: {
              kind: 'returning',
              generation: 1,
              since: 1,
              why: 'It was aborted.',
              cause: 'rollback',
            },
          }),
        ],
        next: null,
      }),
    });
    const { out } = await berth('rollout status 7');
    expect(out).toContain('0 of 2 serve it, 1 sent back, 1 pending');
    expect(out).toMatch(/^1 +50% +ended /m);
    expect(out).toMatch(/^acme +1 +box +sent back /m);
    expect(out).not.toContain('returning');
  });

  test('a tenant on a host that is offline is returning until its agent says that it is back', async () => {
    const progress = {
      kind: 'returning' as const,
      generation: 1,
      since: 1,
      why: 'It was rolled back.',
      cause: 'rollback' as const,
    };
    await serve({
      showRollout: () =>
        rolloutShown({
          state: { kind: 'rolled-back', reason: 'by ada' },
          counts: counts({ returning: 3 }),
          unheard: 1,
        }),
      rolloutTenants: () => ({
        items: [rolloutTenant('acme', { progress, connection: 'offline' })],
        next: null,
      }),
    });
    const { out } = await berth('rollout status 7');
    expect(out).toMatch(/^acme +1 +box +returning \(host offline\) /m);
    expect(out).toContain('0 of 3 serve it, 2 sent back, 1 returning (host offline)\n');
  });

  test('one that is paused before its turn says both', async () => {
    const state = {
      kind: 'paused' as const,
      by: 'operator' as const,
      reason: 'by ada',
      from: 'queued' as const,
    };
    await serve({
      showRollout: () => rolloutShown({ state }),
      rolloutTenants: () => ({ items: [], next: null }),
    });
    expect((await berth('rollout status 7')).out).toContain(
      'state     paused: by ada; its turn has not come yet\n',
    );
  });

  test('a narrow terminal is spared the columns in which nothing is', async () => {
    const judged = { ...looked, verdict: { kind: 'good' as const } };
    const passed = { kind: 'passed' as const, at: 1, judged: 'good', traffic: judged };
    const waves = [waveView(1, 50, { state: passed, traffic: judged, counts: counts({ moved: 3 }) })];
    await serve({
      showRollout: () => completed({ waves }),
      rolloutTenants: () => ({ items: [], next: null }),
    });
    const { out } = await run(fake.url, ['rollout', 'status', '7'], { tty: 'terminal' });
    // This terminal is 60 columns wide.
    const plain = out.replaceAll(/\u001b\[[0-9;]*m/g, '');
    expect(plain).toMatch(/^WAVE +WHO +STATE +SERVE IT +5XX +P95$/m);
    expect(plain).toMatch(/^1 +50% +passed +3 of 3 +0\.4% → 12% +49 ms → 295 ms$/m);
    expect(plain).toMatch(/^wave 1: good$/m);
  });

  test('an app without a rollout is told so', async () => {
    const known = ({ params: { app = '' } }: { params: { app?: string } }) => {
      if (app !== 'shop') throw new BerthError('not_found', `There is no app ${app}.`);
      return long.app;
    };
    await serve({ listRollouts: () => ({ items: [], next: null }), showApp: known });
    for (const command of ['status', 'pause', 'history'])
      expect(await berth(`rollout ${command} nope`)).toMatchObject({
        code: 1,
        err: 'error: There is no app nope.\n',
      });
    expect((await berth('rollout history shop')).out).toContain('No rollouts yet.');
    const { code, err } = await berth('rollout status shop');
    expect(code).toBe(1);
    expect(err).toBe(
      'error: The app shop has no rollout yet. Start one: "berth rollout start shop --to RELEASE".\n',
    );
    expect((await berth('rollout list')).out).toContain('No rollouts yet.');
  });
});

describe('rollout pause, resume, approve, retry, abort, rollback', () => {
  const tenants = [
    rolloutTenant('acme', { progress: { kind: 'moved', generation: 2, at: 1 } }),
    rolloutTenant('globex', { progress: { kind: 'moving', generation: 2, since: 1 } }),
    rolloutTenant('initech'),
  ];

  test.each([
    ['pause', 'pauseRollout'],
    ['resume', 'resumeRollout'],
    ['approve', 'approveRollout'],
    ['retry', 'retryRollout'],
  ] as const)('%s is handed over with its reason', async (verb, route) => {
    await serve({
      listRollouts: () => ({ items: [rolloutShown()], next: null }),
      showRollout: () => rolloutShown(),
      [route]: () => rolloutShown({ state: { kind: 'paused', by: 'operator', reason: 'lunch' } }),
    });
    const { code, out } = await berth(`rollout ${verb} shop --reason lunch`);
    expect(code).toBe(0);
    expect(fake.askedOf(route)).toEqual([{ params: { rollout: '7' }, query: {}, body: { reason: 'lunch' } }]);
    expect(out).toBe(
      'rollout 7 of shop: paused: lunch\n  0 of 2 serve it, 1 moving, 1 pending\n  Go on: berth rollout resume 7\n  Watch it: berth rollout watch 7\n',
    );
    expect(JSON.parse((await berth(`rollout ${verb} shop --json`)).out)).toMatchObject({ rollout: 7 });
  });

  test('abort shows who goes back and who stays, and needs a yes', async () => {
    await serve({
      showRollout: () => rolloutShown(),
      rolloutTenants: () => ({ items: tenants, next: null }),
      abortRollout: () => rolloutShown({ state: { kind: 'aborted', reason: 'no' }, endedAt: 2 }),
    });
    const asked = await berth('rollout abort 7');
    expect(asked.code).toBe(2);
    expect(asked.out).toBe(
      [
        'Rollout 7 of shop to release 13:',
        '  1 tenant under way, taken back to the release before: globex',
        '  1 tenant moved, left on release 13: acme',
        '  1 tenant not begun, left alone: initech',
        '',
      ].join('\n'),
    );
    expect(fake.askedOf('abortRollout')).toEqual([]);
    expect((await berth('rollout abort 7 -y')).code).toBe(0);
    expect(fake.askedOf('abortRollout')[0]?.body).toEqual({});
  });

  test('rollback names also who failed and stayed, and whose host is away', async () => {
    const problem = { code: 'health_failed', message: 'no' } as const;
    const failed = { kind: 'failed', generation: 2, at: 1, problem } as const;
    await serve({
      showRollout: () => rolloutShown(),
      rolloutTenants: () => ({
        items: [
          ...tenants,
          rolloutTenant('hooli', { progress: { ...failed, stays: 'it is irreversible' } }),
          rolloutTenant('stark', { progress: { ...failed, stays: null } }),
          rolloutTenant('wayne', { progress: { kind: 'skipped', reason: 'offline' } }),
        ],
        next: null,
      }),
    });
    expect((await berth('rollout rollback 7')).out.split('\n')).toEqual([
      'Rollout 7 of shop to release 13:',
      '  3 tenants taken back to the release before: acme, globex, hooli',
      '  1 tenant on hosts that are offline, taken back where they had been begun:',
      '    wayne',
      '  1 tenant not begun, left alone: initech',
      '',
    ]);
    expect((await berth('rollout abort 7')).out).toContain('1 tenant failed, left on release 13: hooli');
  });

  test('of a rollout that is over nothing is shown or asked: the coordinator says that it is over', async () => {
    await serve({
      showRollout: () => completed(),
      abortRollout: () => {
        throw new BerthError('conflict', 'Rollout 7 is over.');
      },
    });
    expect(await berth('rollout abort 7')).toEqual({ code: 1, out: '', err: 'error: Rollout 7 is over.\n' });
  });

  test('rollback takes back all it moved, past an irreversible migration only when that is said', async () => {
    await serve({
      showRollout: () => rolloutShown(),
      rolloutTenants: () => ({ items: tenants, next: null }),
      rollbackRollout: () =>
        rolloutShown({ state: { kind: 'rolling-back', scope: 'all', reason: 'asked for' } }),
    });
    const { code, out } = await berth('rollout rollback 7 -y --past-irreversible --reason', [
      '5xx in checkout',
    ]);
    expect(code).toBe(0);
    expect(out).toContain('  2 tenants taken back to the release before: acme, globex\n');
    expect(out).toContain('rollout 7 of shop: rolling back: asked for\n');
    expect(fake.askedOf('rollbackRollout')[0]?.body).toEqual({
      reason: '5xx in checkout',
      pastIrreversible: true,
    });
  });
});
