import type { Command } from 'commander';
import { z } from 'zod';
import { parseTime } from './parse.ts';

/** The options of every verb that starts work on a host and follows it. */
export function addWaitOptions(command: Command): Command {
  return command
    .option('--no-wait', 'return as soon as the change is accepted')
    .option('--timeout <time>', 'how long to wait', '5m')
    .option('--wait-blocked', 'wait that long also while something is in the way; without it, 20 s');
}

/** The time is read before anything is asked of anyone: a wrong one must not be found out after the change. */
export const WaitFlags = z.object({
  wait: z.boolean(),
  timeout: z.string().transform((text) => parseTime(text, '--timeout')),
  waitBlocked: z.boolean().default(false),
});
export type WaitFlags = z.output<typeof WaitFlags>;
