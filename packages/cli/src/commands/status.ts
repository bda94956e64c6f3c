import { ago } from '../output/format.ts';
import { fields } from '../output/table.ts';
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
        ],
        style,
      ),
    );
  });
};
