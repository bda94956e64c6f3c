import { z } from 'zod';

const context = z.record(z.string(), z.string());

/** One question to AWS. */
export const AwsAsk = z.strictObject({
  /** Without it, what the SDK finds. */
  region: z.string().optional(),
  endpoint: z.string().optional(),
  of: z.discriminatedUnion('kind', [
    /** A value of Secrets Manager, or one key of its JSON. */
    z.strictObject({
      kind: z.literal('secret'),
      id: z.string(),
      key: z.string().optional(),
      stage: z.string().optional(),
    }),
    z.strictObject({ kind: z.literal('parameter'), name: z.string() }),
    z.strictObject({ kind: z.literal('wrap'), key: z.string(), text: z.string(), context }),
    z.strictObject({ kind: z.literal('unwrap'), key: z.string(), blob: z.string(), context }),
  ]),
});
export type AwsAsk = z.infer<typeof AwsAsk>;

export const AwsAnswer = z.discriminatedUnion('kind', [
  /** Base64. */
  z.strictObject({ kind: z.literal('value'), value: z.string() }),
  z.strictObject({ kind: z.literal('refused'), name: z.string(), message: z.string() }),
]);
export type AwsAnswer = z.infer<typeof AwsAnswer>;
