import type { Rollout, RolloutTenant } from '@berth/shared/api/rollouts';
import { isOver } from '@berth/shared/domain/rollout';
import type { Command } from 'commander';
import { z } from 'zod';
import { confirm } from '../output/ask.ts';
import type { Style } from '../output/style.ts';
import { argument, does, examples, type ContextOf } from './define.ts';
import { allPages } from './pages.ts';
import { rolloutOf } from './rollout-of.ts';
import { count, countsText, names, stateLine } from './rollout-view.ts';
import { asksFor } from './rollout-words.ts';

const WHICH = 'its number, or an app for the one under way, else its newest';

const VERBS = {
  pause: 'begin no further tenant; what is under way goes on',
  resume: 'go on, also after a halt',
  approve: 'let the wave that asks for it begin',
  retry: 'move the failed and returned tenants of this wave and those before it again',
} as const;

const ENDS = {
  abort: 'end it where it is; tenants under way go back, those that were moved stay',
  rollback: 'return every tenant that it moved',
} as const;

const Reason = z.object({ reason: z.string().optional() });
const EndFlags = Reason.extend({
  yes: z.boolean().default(false),
  pastIrreversible: z.literal(true).optional(),
});

export function registerRolloutActions(rollout: Command, contextOf: ContextOf): void {
  for (const verb of ['pause', 'resume', 'approve', 'retry'] as const) {
    const command = rollout
      .command(verb)
      .description(VERBS[verb])
      .argument('<rollout>', WHICH)
      .option('--reason <text>', 'why, for the history');
    does(command, contextOf, Reason, async (context, args, given) => {
      const { output, signal } = context;
      const api = context.api();
      const one = await rolloutOf(api, argument(args, 0), signal);
      const call = {
        pause: api.pauseRollout,
        resume: api.resumeRollout,
        approve: api.approveRollout,
        retry: api.retryRollout,
      }[verb];
      const after = await call({ params: { rollout: one.rollout }, body: reasonOf(given) }, signal);
      output.json(after);
      output.show(actedLine(after, output.style));
    });
  }

  for (const verb of ['abort', 'rollback'] as const) {
    const command = rollout
      .command(verb)
      .description(ENDS[verb])
      .argument('<rollout>', WHICH)
      .option('--reason <text>', 'why, for the history')
      .option('--past-irreversible', 'also past a release command that is marked irreversible')
      .option('-y, --yes', 'do not ask');
    examples(command, [
      [`berth rollout ${verb} shop --reason "5xx in checkout"`, 'shows what would happen, and asks'],
    ]);
    does(command, contextOf, EndFlags, async (context, args, given) => {
      const { output, signal } = context;
      const api = context.api();
      const one = await rolloutOf(api, argument(args, 0), signal);
      const params = { rollout: one.rollout };
      // Of one that is over nothing changes; the coordinator says so.
      if (!isOver(one.state)) {
        const tenants = await allPages((query) => api.rolloutTenants({ params, query }, signal));
        output.show(effectOf(verb, one, tenants).join('\n'));
        const question =
          verb === 'abort' ? `Abort rollout ${one.rollout}?` : `Roll back rollout ${one.rollout}?`;
        if ((await confirm(context, question, given.yes)) === 'no') {
          output.print('Nothing was changed.');
          return;
        }
      }
      const past = given.pastIrreversible === undefined ? {} : { pastIrreversible: given.pastIrreversible };
      const call = verb === 'abort' ? api.abortRollout : api.rollbackRollout;
      const after = await call({ params, body: { ...reasonOf(given), ...past } }, signal);
      output.json(after);
      output.show(actedLine(after, output.style));
    });
  }
}

function reasonOf(given: { reason?: string | undefined }): { reason?: string } {
  return given.reason === undefined ? {} : { reason: given.reason };
}

function actedLine(rollout: Rollout, style: Style): string {
  const asks = asksFor(rollout);
  const lines = [
    `rollout ${rollout.rollout} of ${rollout.app}: ${stateLine(rollout, style)}`,
    `  ${countsText(rollout)}`,
  ];
  // Of one that is paused nothing begins, approved or not.
  if (rollout.state.kind === 'paused' && rollout.state.by === 'operator')
    lines.push(style.dim(`  Go on: berth rollout resume ${rollout.rollout}`));
  else if (asks !== undefined)
    lines.push(`  wave ${asks.wave} asks for approval: berth rollout approve ${rollout.rollout}`);
  if (rollout.endedAt === null) lines.push(style.dim(`  Watch it: berth rollout watch ${rollout.rollout}`));
  return lines.join('\n');
}

/** What would become of whom, by name. */
function effectOf(verb: 'abort' | 'rollback', rollout: Rollout, tenants: readonly RolloutTenant[]): string[] {
  const who = (fits: (progress: RolloutTenant['progress']) => boolean): string[] =>
    tenants.filter((one) => fits(one.progress)).map((one) => one.tenant);
  const are = (...kinds: readonly RolloutTenant['progress']['kind'][]): string[] =>
    who(({ kind }) => kinds.includes(kind));
  const stays = (progress: RolloutTenant['progress']): boolean =>
    progress.kind === 'failed' && progress.stays !== null;
  const away = (progress: RolloutTenant['progress']): boolean =>
    progress.kind === 'skipped' && progress.reason === 'offline';
  const line = (who: readonly string[], what: string): string[] =>
    who.length === 0 ? [] : [`  ${count(who.length, 'tenant')} ${what}: ${names(who)}`];
  const head = `Rollout ${rollout.rollout} of ${rollout.app} to release ${rollout.to}:`;
  const notBegun = [
    ...line(who(away), 'on hosts that are offline, taken back where they had been begun'),
    ...line(
      who((progress) => progress.kind === 'pending' || (progress.kind === 'skipped' && !away(progress))),
      'not begun, left alone',
    ),
  ];
  return verb === 'abort'
    ? [
        head,
        ...line(are('moving', 'returning'), 'under way, taken back to the release before'),
        ...line(are('live', 'moved'), `moved, left on release ${rollout.to}`),
        ...line(who(stays), `failed, left on release ${rollout.to}`),
        ...notBegun,
      ]
    : [
        head,
        ...line(
          who(
            (progress) => ['moving', 'live', 'moved', 'returning'].includes(progress.kind) || stays(progress),
          ),
          'taken back to the release before',
        ),
        ...notBegun,
      ];
}
