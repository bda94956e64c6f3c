import { z } from 'zod';
import { SecretName } from '../../domain/secret.ts';
import { defineRoute } from '../route.ts';
import * as s from '../secrets.ts';
import { tenant } from './parts.ts';

const secret = tenant.extend({ secret: SecretName });

/** Tenants' secrets: values go in and are never shown; hosts get them another way. */
export const secretsRoutes = {
  listSecrets: defineRoute({
    method: 'GET',
    path: '/tenants/{tenant}/secrets',
    summary: "A tenant's secrets and their versions, without their values",
    access: 'viewer',
    on: 'tenant',
    status: 200,
    params: tenant,
    response: z.object({ items: z.array(s.SecretShown) }),
  }),
  setSecrets: defineRoute({
    method: 'PUT',
    path: '/tenants/{tenant}/secrets',
    summary: 'New versions of secrets; the tenant takes them up with its next change',
    access: 'operator',
    on: 'tenant',
    status: 201,
    params: tenant,
    body: s.SetSecrets,
    response: s.SecretsSet,
  }),
  removeSecret: defineRoute({
    method: 'DELETE',
    path: '/tenants/{tenant}/secrets/{secret}',
    summary: 'Remove all versions of a secret that the tenant does not use',
    access: 'operator',
    on: 'tenant',
    status: 200,
    params: secret,
    response: z.object({ result: z.literal('ok'), versions: z.number() }),
  }),
  secretKeys: defineRoute({
    method: 'GET',
    path: '/secret-keys',
    summary: 'The keys that wrap secrets, and what they wrap',
    access: 'operator',
    on: 'coordinator',
    status: 200,
    query: z.object({ closed: z.enum(['count', 'list']).default('count') }),
    response: s.SecretKeys,
  }),
  rotateSecretKey: defineRoute({
    method: 'POST',
    path: '/secret-keys/rotate',
    summary: 'A new key for secrets; all versions are wrapped with it',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    body: s.RotateSecretKey,
    response: s.KeyRotated,
  }),
} as const;
