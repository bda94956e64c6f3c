import { z } from 'zod';

/**
 * What came of one attempt of an isolation probe.
 * - `held`: as it should be: what must be shut is shut, what must work works.
 * - `open`: a tenant reaches or does what it must not.
 * - `broken`: what must work for the others to mean anything does not: the proof is none.
 * - `untried`: it could not be tried.
 * - `note`: nothing is promised here, and this says so.
 */
export const ProbeVerdict = z.enum(['held', 'open', 'broken', 'untried', 'note']);
export type ProbeVerdict = z.infer<typeof ProbeVerdict>;

export const ProbeRow = z.strictObject({
  area: z.enum(['network', 'host', 'metadata', 'kernel', 'files', 'limits', 'egress']),
  /** What was tried, for a person. */
  tried: z.string().max(200),
  expected: z.string().max(200),
  seen: z.string().max(500),
  verdict: ProbeVerdict,
});
export type ProbeRow = z.infer<typeof ProbeRow>;

export const ProbeReport = z.strictObject({
  at: z.number(),
  ms: z.number(),
  rows: z.array(ProbeRow).max(1000),
});
export type ProbeReport = z.infer<typeof ProbeReport>;

/** The worst verdict decides: only rows that held, and notes, make a whole. */
export function probeHolds(report: ProbeReport): boolean {
  return report.rows.every((row) => row.verdict === 'held' || row.verdict === 'note');
}
