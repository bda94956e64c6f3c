import type { Rollout, RolloutPlan } from '@berth/shared/api/rollouts';
import { BerthError } from '@berth/shared/domain/errors';
import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { afterEach, describe, expect, test } from 'vitest';
import { fakeApi, type Answers } from './support/fake-api.ts';
import { completed, rolloutEvent, rolloutShown, waveView } from './support/rollouts.ts';
import { run } from './support/run.ts';

let fake: Awaited<ReturnType<typeof fakeApi>>;
afterEach(async () => {
  await fake.close();
});
const serve = async (answers: Answers): Promise<void> => {
  fake = await fakeApi(answers);
};
const berth = (line: string, more: readonly string[] = []) => run(fake.url, [...line.split(' '), ...more]);

const planned = (tenant: string, change: Partial<RolloutPlan['waves'][number]['tenants'][number]> = {}) => ({
  tenant,
  host: 'h_0123456789abcdef',
  hostName: 'box',
  fromRelease: 12,
  now: { kind: 'pending' as const },
  changes: [{ path: 'services.web.image', before: 'shop:1', after: 'shop:2' }],
  error: null,
  ...change,
});
const plan: RolloutPlan = {
  app: 'shop',
  to: 13,
  waves: [
    {
      spec: { target: { kind: 'share', percent: 50 }, approval: 'none' },
      tenants: [planned('acme'), planned('globex', { now: { kind: 'skipped', reason: 'offline' } })],
    },
    {
      spec: { target: { kind: 'share', percent: 100 }, approval: 'ask' },
      tenants: [planned('initech', { error: 'VERSION is not set.', changes: null })],
    },
  ],
  untouched: ['umbrella'],
  warnings: ['The migration of release 13 is irreversible.'],
};

describe('rollout plan', () => {
  test('shows the waves with their tenants and what changes for each', async () => {
    await serve({ planRollout: () => plan });
    const { code, out } = await berth('rollout plan shop --to 13 --waves 50%,100%:approve');
    expect(code).toBe(0);
    expect(out).toBe(
      [
        'shop to release 13: 3 tenants in 2 waves',
        '',
        'wave 1  50%  2 tenants',
        '  acme  box  release 12 → 13',
        '    web image: shop:1 → shop:2',
        '  globex  box  release 12 → 13  skipped: its host is offline',
        '    the same changes as acme',
        '',
        'wave 2  100%  1 tenant, asks for approval',
        '  initech  box  release 12 → 13',
        '    would fail: VERSION is not set.',
        '',
        'untouched: umbrella',
        '',
        'warning: The migration of release 13 is irreversible.',
        '',
      ].join('\n'),
    );
    expect(fake.askedOf('planRollout')[0]?.body).toMatchObject({ app: 'shop', to: 13, changesOf: 20 });
  });

  test('to the release that everybody has says once that nobody has to move', async () => {
    const waves = plan.waves.map((wave) => ({ ...wave, tenants: [] }));
    const warnings = ['Every tenant has release 13 already.'];
    await serve({ planRollout: () => ({ ...plan, waves, warnings, untouched: ['acme', 'globex'] }) });
    const { out } = await berth('rollout plan shop --to 13');
    expect(out).toBe(`shop to release 13: nobody has to move\nwarning: ${warnings[0]}\n`);
  });

  test('is one document with --json', async () => {
    await serve({ planRollout: () => plan });
    const { out } = await berth('rollout plan shop --to 13 --json --changes 0');
    expect(JSON.parse(out)).toEqual(plan);
    expect(fake.askedOf('planRollout')[0]?.body).toMatchObject({ changesOf: 0 });
  });
});

describe('rollout start', () => {
  const answers = (end: Rollout): Answers => ({
    planRollout: () => plan,
    startRollout: () => rolloutShown(),
    showRollout: () => end,
  });

  test('without options keeps to the policy that is the default, in waves of 5, 25 and 100 %', async () => {
    await serve(answers(completed()));
    expect((await berth('rollout start shop --to 13 -y')).code).toBe(0);
    expect(fake.askedOf('startRollout')[0]?.body).toEqual({
      app: 'shop',
      to: 13,
      whenBusy: 'refuse',
      policy: RolloutPolicy.parse({
        waves: [5, 25, 100].map((percent) => ({ target: { kind: 'share', percent } })),
      }),
    });
  });

  test('ends where a wave is wholly outside its window, says who waits until when, and what comes next', async () => {
    const opensAt = Date.parse('2026-11-20T21:00:00Z');
    const first = [
      { tenant: 'acme', reason: 'window' as const, window: 'Mon-Fri 22:00-04:00 Europe/Berlin', opensAt },
      { tenant: 'globex', reason: 'pinned' as const, window: null, opensAt: null },
    ];
    const waits = rolloutShown({ awaits: { tenants: 4, first } });
    await serve(answers(waits));
    const now = (): number => Date.parse('2026-11-20T12:00:00Z');
    const line = ['rollout', 'start', 'shop', '--to', '13', '-y'];
    const { code, out } = await run(fake.url, line, { now });
    expect(code).toBe(0);
    expect(out.split('\n').slice(-7)).toEqual([
      '  acme waits for its window Mon-Fri 22:00-04:00 Europe/Berlin, which opens at 2026-11-20 21:00:00 UTC, in 9 h',
      '  globex: it is pinned',
      '  and 2 more',
      '  Nobody of wave 1 can be moved now; it goes on by itself when somebody can.',
      '  Follow it: berth rollout watch 7',
      '  Without them: berth rollout approve 7',
      '',
    ]);
    const json = await run(fake.url, [...line, '--json'], { now });
    expect(json.code).toBe(0);
    expect(JSON.parse(json.out.trim().split('\n').at(-1) ?? '')).toEqual(waits);
  });

  test('follows on while only hosts are away, which may be back at any moment', async () => {
    const first = [{ tenant: 'acme', reason: 'offline' as const, window: null, opensAt: null }];
    const states = [rolloutShown({ awaits: { tenants: 1, first } })];
    await serve({ ...answers(completed()), showRollout: () => states.shift() ?? completed() });
    const { out } = await berth('rollout start shop --to 13 -y');
    expect(out).toContain('completed');
  });

  test('says that a rollout is queued, not that it has begun, when it is', async () => {
    await serve({
      ...answers(completed()),
      startRollout: () => rolloutShown({ state: { kind: 'queued' } }),
    });
    const { out } = await berth('rollout start shop --to 13 --queue -y --no-follow');
    expect(out).toContain('Rollout 7 is queued. Watch it: berth rollout watch 7');
  });

  test('hands over everything that was asked for', async () => {
    await serve(answers(completed()));
    const line =
      'rollout start shop --to 13 --waves canary,10,100%:approve --bake 5m --max-failures 2 --on-failure rollback ' +
      '--per-host 3 --at-once 30 --order tier=free,tier=pro --error-budget 0.5% --latency-factor 2.5 ' +
      '--latency-slack 20ms --min-requests 10 --move-timeout 1h --queue -y --no-follow';
    const { code, out } = await berth(line);
    expect(code).toBe(0);
    expect(out).toContain('Rollout 7 has begun. Watch it: berth rollout watch 7');
    expect(fake.askedOf('showRollout')).toEqual([]);
    expect(fake.askedOf('startRollout')[0]?.body).toEqual({
      app: 'shop',
      to: 13,
      whenBusy: 'queue',
      policy: {
        waves: [
          { target: { kind: 'tag', tag: 'canary' }, approval: 'none' },
          { target: { kind: 'count', count: 10 }, approval: 'none' },
          { target: { kind: 'share', percent: 100 }, approval: 'ask' },
        ],
        bakeMs: 300_000,
        maxFailures: 2,
        onFailure: 'rollback',
        perHost: 3,
        atOnce: 30,
        order: ['tier=free', 'tier=pro'],
        traffic: { errorRate: 0.005, latencyFactor: 2.5, latencyMs: 20, minRequests: 10 },
        moveTimeoutMs: 3_600_000,
      },
    });
  });

  test('refuses what cannot be read with a sentence about it, before anything is asked of anyone', async () => {
    await serve({});
    const refused: readonly (readonly [string, string])[] = [
      ['--waves 25%,5%', '--waves 25%,5%: Shares are cumulative and must rise: 5% comes after 25%.'],
      ['--waves 101%', '--waves 101%: "101%" is no share: it must be at least 0.001% and at most 100%.'],
      ['--bake soon', '--bake must be a time such as 30s, 5m or 2h, not "soon".'],
      ['--bake 2d', '--bake: Too big: expected number to be <=86400000.'],
      ['--error-budget 2', '--error-budget must be a share such as 2% or 0.5%, not "2".'],
      ['--error-budget 101%', '--error-budget must be a share such as 2% or 0.5%, not "101%".'],
      ['--latency-factor 0.5', '--latency-factor must be a number of at least 1, not "0.5".'],
      ['--max-failures x', '--max-failures must be a whole number of at least 0, not "x".'],
      ['--on-failure explode', '--on-failure must be pause or rollback, not "explode".'],
      [
        '--waves=-3',
        '"-3" is neither a share (25%), a number (10), a tag (tier=free) nor names (@acme+globex).',
      ],
      ['--waves 5%:aprove', '--waves 5%:aprove: "5%:aprove" ends in ":aprove"; only ":approve" is known.'],
      ['--order Tier', '--order "Tier": a tag is a word'],
      ['--per-host 101', '--per-host: Too big: expected number to be <=100.'],
    ];
    for (const [option, sentence] of refused) {
      const { code, err } = await berth(`rollout start shop --to 13 -y ${option}`);
      expect(err).toContain(sentence);
      if (!sentence.includes('rise')) expect(err).not.toContain('counts those before it');
      expect(code).toBe(2);
    }
    expect((await berth('rollout start shop -y')).code).toBe(2);
    expect(fake.calls).toEqual([]);
  });

  test('shows the plan and asks; where nobody can be asked it starts nothing', async () => {
    await serve(answers(completed()));
    const { code, out, err } = await berth('rollout start shop --to 13');
    expect(code).toBe(2);
    expect(out).toContain('wave 2  100%  1 tenant, asks for approval');
    expect(out).toContain('warning: The migration of release 13 is irreversible.');
    expect(err).toContain('Start this rollout of shop? Nobody can be asked here.');
    expect(fake.askedOf('startRollout')).toEqual([]);
  });

  test('follows it to its end, a line for each change', async () => {
    await serve(answers(completed()));
    fake.emit(rolloutEvent('rollout.wave', { wave: 1, state: { kind: 'baking', since: 1, until: 2 } }));
    const problem = { code: 'health_failed', message: 'web never became healthy' };
    fake.emit(
      rolloutEvent(
        'rollout.tenant',
        { wave: 1, progress: { kind: 'failed', generation: 2, at: 1, problem, stays: null } },
        'acme',
      ),
    );
    const { code, out } = await berth('rollout start shop --to 13 -y');
    expect(code).toBe(0);
    expect(out.slice(out.indexOf('rollout 7 of'))).toBe(
      [
        'rollout 7 of shop to release 13: running',
        '1970-01-01 00:16:40  wave 1  baking',
        '1970-01-01 00:16:40  wave 1  acme  failed: web never became healthy',
        '✓ rollout 7 of shop to release 13: completed (60 s)',
        '  2 of 2 serve it',
        '',
      ].join('\n'),
    );
  });

  test.each([
    ['halted', { kind: 'paused', by: 'failure', reason: '2 failed' }, 1],
    ['rolled back', { kind: 'rolled-back', reason: '2 failed' }, 1],
    ['aborted', { kind: 'aborted', reason: 'no' }, 1],
    ['waiting', { kind: 'waiting' }, 0],
  ] as const)('ends with its exit code when it is %s', async (words, state, exit) => {
    await serve(answers(rolloutShown({ state })));
    const { code, out } = await berth('rollout start shop --to 13 -y');
    expect(out).toContain(`rollout 7 of shop to release 13: ${words}`);
    expect(code).toBe(exit);
  });

  test('ends where a wave asks for approval, and says how to give it', async () => {
    const wave = waveView(2, 100, { state: { kind: 'awaiting-approval', why: 'as asked for' } });
    await serve(answers(rolloutShown({ waves: [wave] })));
    const { code, out } = await berth('rollout start shop --to 13 -y');
    expect(out).toContain('wave 2 asks for approval: as asked for\n  Let it begin: berth rollout approve 7');
    expect(code).toBe(0);
  });

  test('that is refused, not allowed or not heard ends with 1, 4 and 3', async () => {
    await serve({
      planRollout: () => plan,
      startRollout: () => {
        throw new BerthError('conflict', 'The app shop has rollout 6 already.');
      },
    });
    const { code, err } = await berth('rollout start shop --to 13 -y');
    expect([code, err]).toEqual([1, 'error: The app shop has rollout 6 already.\n']);
    await fake.close();
    await serve({
      planRollout: () => {
        throw new BerthError('forbidden', 'No.');
      },
    });
    expect((await berth('rollout start shop --to 13 -y')).code).toBe(4);
    await fake.close();
    expect((await berth('rollout start shop --to 13 -y')).code).toBe(3);
  });
});
