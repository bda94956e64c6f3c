import type { Event } from '@berth/shared/api/schemas';
import { z } from 'zod';
import { followEvents } from '../follow.ts';
import { duration, timestamp } from '../output/format.ts';
import type { Output } from '../output/output.ts';
import { cell } from './audit-view.ts';
import { does, examples, type Register } from './define.ts';
import { hostIdOf } from './host-id.ts';
import { parseCount } from './parse.ts';

export const registerEvents: Register = (program, contextOf) => {
  const events = program
    .command('events')
    .description('what happened, oldest first')
    .option('-f, --follow', 'go on with what happens from now on')
    .option('--tenant <tenant>', 'only of this tenant')
    .option('--host <host>', 'only of this host')
    .option('--kind <kind>', 'only of this kind, such as tenant.failed')
    .option('--after <id>', 'only those after this event')
    .option('--limit <n>', 'how many of the past ones', '50');
  examples(events, [
    ['berth events -f --tenant acme', ''],
    ['berth events --kind tenant.failed --json', ''],
    ['berth events -f --json | jq .message', 'one JSON line per event'],
  ]);
  const options = z.object({
    follow: z.boolean().default(false),
    tenant: z.string().optional(),
    host: z.string().optional(),
    kind: z.string().optional(),
    after: z.string().optional(),
    limit: z.string(),
  });
  does(events, contextOf, options, async (context, _args, given) => {
    const { output, signal } = context;
    const api = context.api();
    const host = given.host === undefined ? undefined : await hostIdOf(api, given.host, signal);
    const filter = {
      ...(given.tenant === undefined ? {} : { tenant: given.tenant }),
      ...(host === undefined ? {} : { host }),
    };
    const past = await api.listEvents(
      {
        query: {
          ...filter,
          ...(given.kind === undefined ? {} : { kind: given.kind }),
          ...(given.after === undefined ? {} : { after: parseCount(given.after, '--after', 0) }),
          limit: parseCount(given.limit, '--limit'),
        },
      },
      signal,
    );
    if (!given.follow) {
      output.json(past);
      for (const event of past.items) output.print(eventLine(event, output));
      if (past.items.length === 0) output.print('Nothing has happened yet.');
      return;
    }
    const show = (event: Event): void => {
      if (given.kind !== undefined && event.kind !== given.kind) return;
      output.jsonLine(event);
      output.print(eventLine(event, output));
    };
    past.items.forEach(show);
    const after = past.items.at(-1)?.id ?? past.last;
    for await (const event of followEvents(api, { ...filter, after }, signal, context.clock, 60_000))
      show(event);
  });
};

const StepDetails = z.object({ state: z.string(), ms: z.number().nullish(), step: z.string() });

export function eventLine(event: Event, output: Pick<Output, 'style'>): string {
  const { style } = output;
  const kind = /failed|offline|down|blocked|returned/.test(event.kind)
    ? style.red(cell(event.kind))
    : style.cyan(cell(event.kind));
  const about = event.tenant ?? event.host ?? event.app ?? '';
  const generation = event.generation === null ? '' : style.dim(` g${event.generation}`);
  const step = StepDetails.safeParse(event.details);
  const state = !step.success
    ? ''
    : style.dim(
        step.data.ms == null ? ` (${step.data.state})` : ` (${step.data.state}, ${duration(step.data.ms)})`,
      );
  return `${style.dim(timestamp(event.at))}  ${kind}  ${cell(about)}${generation}  ${cell(event.message)}${state}`;
}
