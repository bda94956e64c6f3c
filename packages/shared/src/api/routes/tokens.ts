import { z } from 'zod';
import { defineRoute } from '../route.ts';
import * as s from '../schemas.ts';
import { done } from './parts.ts';

/** API tokens. */
export const tokensRoutes = {
  listTokens: defineRoute({
    method: 'GET',
    path: '/tokens',
    summary: 'API tokens, without their secrets',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    response: z.object({ items: z.array(s.TokenInfo) }),
  }),
  createToken: defineRoute({
    method: 'POST',
    path: '/tokens',
    summary: 'An API token, shown once',
    access: 'admin',
    on: 'coordinator',
    status: 201,
    body: s.CreateToken,
    response: s.CreatedToken,
  }),
  revokeToken: defineRoute({
    method: 'DELETE',
    path: '/tokens/{id}',
    summary: 'Revoke a token at once',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    params: z.object({
      id: z.string().regex(/^[a-z]{1,4}_[a-z0-9]{1,40}$/, { error: 'not the id of a token' }),
    }),
    response: done,
  }),
} as const;
