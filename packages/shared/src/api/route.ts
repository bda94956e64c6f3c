import type { z } from 'zod';

/**
 * What a route is about, which a scoped caller must have in its scope. The name is in the path, else in the body.
 * - `nothing`: whoever has the role may.
 * - `coordinator`: everything at once, or who may do what: only callers without a scope.
 * - `listed`: the answer holds only what is in the caller's scope.
 * - `new-tenant`: its app or its pool, as the body gives them.
 */
export type RouteSubject =
  'nothing' | 'coordinator' | 'listed' | 'app' | 'tenant' | 'new-tenant' | 'host' | 'pool' | 'rollout';

/**
 * One line of the table that server, typed client, OpenAPI document and access tests are all made from. `path` has
 * `{name}` parameters. `access` is the least a caller must be, `on` what of.
 */
export interface RouteDefinition {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly summary: string;
  readonly access: 'public' | 'viewer' | 'deployer' | 'operator' | 'admin';
  readonly on: RouteSubject;
  readonly status: 200 | 201 | 202;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly response: z.ZodType;
}

export function defineRoute<const R extends RouteDefinition>(route: R): R {
  return route;
}

type Part<R, K extends string> = R extends { readonly [key in K]: infer Z extends z.ZodType }
  ? z.input<Z>
  : undefined;

type Given<R extends RouteDefinition> = {
  params: Part<R, 'params'>;
  query: Part<R, 'query'>;
  body: Part<R, 'body'>;
};

/** What a caller hands over for a route: only the parts it has. */
export type RouteInput<R extends RouteDefinition> = {
  [K in keyof Given<R> as Given<R>[K] extends undefined ? never : K]: Given<R>[K];
};

export type RouteOutput<R extends RouteDefinition> = z.output<R['response']>;
