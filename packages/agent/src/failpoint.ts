import type { Failpoint } from './loop/ports.ts';

/**
 * For the fault tests: BERTH_FAILPOINT names one point, such as `after:route.switch@acme`, at which the process ends as
 * if the power had gone. Without it nothing is looked at.
 */
export function failpointFrom(env: Readonly<Record<string, string | undefined>>): Failpoint {
  const wanted = env.BERTH_FAILPOINT;
  if (wanted === undefined || wanted === '') return () => undefined;
  return (name) => {
    if (name === wanted || name.startsWith(`${wanted}@`)) process.kill(process.pid, 'SIGKILL');
  };
}
