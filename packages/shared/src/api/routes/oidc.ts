import { z } from 'zod';
import * as o from '../oidc.ts';
import { defineRoute } from '../route.ts';
import { done } from './parts.ts';

/** Trust in identity providers, for CI without stored secrets. */
export const oidcRoutes = {
  listTrust: defineRoute({
    method: 'GET',
    path: '/oidc/trust',
    summary: 'Which repositories may have a deployer token, and of which apps',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    response: z.object({ items: z.array(o.Trust) }),
  }),
  addTrust: defineRoute({
    method: 'POST',
    path: '/oidc/trust',
    summary: 'Trust an identity provider’s word about a repository',
    access: 'admin',
    on: 'coordinator',
    status: 201,
    body: o.AddTrust,
    response: o.Trust,
  }),
  removeTrust: defineRoute({
    method: 'DELETE',
    path: '/oidc/trust/{id}',
    summary: 'Trust it no longer; tokens that were given out run out within the hour',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    params: z.object({ id: z.string().regex(/^o_[a-z0-9]{12}$/, { error: 'not the id of a trust rule' }) }),
    response: done,
  }),
  exchangeToken: defineRoute({
    method: 'POST',
    path: '/tokens/exchange',
    summary: 'A short-lived deployer token for an identity token of a CI job',
    access: 'public',
    on: 'nothing',
    status: 201,
    body: o.ExchangeToken,
    response: o.ExchangedToken,
  }),
} as const;
