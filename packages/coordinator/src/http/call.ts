import type { Routes, RouteName } from '@berth/shared/api/routes';
import type { AccessScope } from '@berth/shared/domain/access';
import { BerthError } from '@berth/shared/domain/errors';
import type { z } from 'zod';
import type { Actor } from '../services/records.ts';

type Part<R, K extends string> = R extends { readonly [key in K]: infer Z extends z.ZodType }
  ? z.output<Z>
  : undefined;

/** One request, read and checked by the route's own schemas. */
export interface Call<K extends RouteName> {
  params: Part<Routes[K], 'params'>;
  query: Part<Routes[K], 'query'>;
  body: Part<Routes[K], 'body'>;
  by: Actor;
  /** What the caller's token is good for; undefined: everything. Routes that are `listed` answer only with what is in it. */
  scope: AccessScope | undefined;
}

export type Handler<K extends RouteName> = (call: Call<K>) => Promise<z.output<Routes[K]['response']>>;

/** One handler for every route of the table: a missing one does not compile. */
export type Handlers = { [K in RouteName]: Handler<K> };

/** Errors: `invalid_request` with a sentence per field that is wrong. */
export function checked(what: 'path' | 'query' | 'body', schema: z.ZodType, value: unknown): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues
    .flatMap(closest)
    .slice(0, 10)
    .map((issue) => ({
      field: issue.path.map(String).join('.'),
      // Of a wrong key the reason is one level down.
      message: issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message,
    }));
  const sentences = issues.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`));
  throw new BerthError('invalid_request', `The ${what} is not right. ${sentences.join('; ')}.`, {
    details: { in: what, issues },
  });
}

/** Where one of several shapes would do, what is wrong with the one that comes closest. */
function closest(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue];
  const [best = []] = [...issue.errors].sort((a, b) => a.length - b.length);
  return best.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })).flatMap(closest);
}
