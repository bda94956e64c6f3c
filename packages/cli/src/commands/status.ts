import { ago } from '../output/format.ts';
import { fields } from '../output/table.ts';
import { BerthError } from '@berth/shared/domain/errors';
import type { Context } from '../context.ts';
import { does, examples, NoOptions, type Register } from './define.ts';

export const registerStatus: Register = (program, contextOf) => {
  const status = program.command('status').description('the coordinator, hosts and tenants at a glance');
  examples(status, [
    ['berth status', ''],
    ['berth status --json | jq .tenants.failed', ''],
  ]);
  does(status, contextOf, NoOptions, async (context) => {
    const { output, clock } = context;
    const now = await context.api().status({}, context.signal);
    output.json(now);
    const { style } = output;
    const lost = await lostSecrets(context);
    const trouble = now.tenants.failed + now.tenants.blocked;
    const mode =
      now.mode === 'apply'
        ? style.green('apply')
        : `${style.yellow('observe only')}: ${now.modeReason ?? 'waiting for an operator'}`;
    output.print(
      fields(
        [
          ['coordinator', `${context.connection().url}, version ${now.version}, ${now.store}`],
          ['started', ago(now.startedAt, clock.now())],
          ['mode', `${mode} (epoch ${now.epoch})`],
          ['hosts', `${now.hosts.online} of ${now.hosts.total} online`],
          ['apps', String(now.apps)],
          [
            'tenants',
            [
              `${now.tenants.total} in all`,
              `${now.tenants.settled} settled`,
              `${now.tenants.moving} moving or baking`,
              `${now.tenants.paused} paused`,
              trouble === 0
                ? 'none in trouble'
                : style.red(`${now.tenants.failed} failed, ${now.tenants.blocked} blocked`),
            ].join(', '),
          ],
          ...(lost === null ? [] : [['secrets', style.red(lost)] as const]),
        ],
        style,
      ),
    );
  });
};

/** How many versions of secrets cannot be opened, in words; null when all can, or who asks may not know. */
async function lostSecrets(context: Context): Promise<string | null> {
  try {
    const { keys } = await context.api().secretKeys({ query: {} }, context.signal);
    const lost = keys.filter((each) => each.problem !== null).reduce((sum, each) => sum + each.versions, 0);
    return lost === 0
      ? null
      : `${lost === 1 ? '1 version' : `${lost} versions`} cannot be opened; see: berth secret keys`;
  } catch (thrown) {
    if (thrown instanceof BerthError) return null;
    throw thrown;
  }
}
