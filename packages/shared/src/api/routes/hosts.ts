import { defineRoute } from '../route.ts';
import * as s from '../schemas.ts';
import { done, host, list, page } from './parts.ts';

/** Hosts and their enrolment. */
export const hostsRoutes = {
  listHosts: defineRoute({
    method: 'GET',
    path: '/hosts',
    summary: 'Hosts',
    access: 'viewer',
    status: 200,
    query: page,
    response: list(s.Host),
  }),
  showHost: defineRoute({
    method: 'GET',
    path: '/hosts/{host}',
    summary: 'One host',
    access: 'viewer',
    status: 200,
    params: host,
    response: s.Host,
  }),
  createJoinToken: defineRoute({
    method: 'POST',
    path: '/hosts/join-tokens',
    summary: 'A single-use token that enrols one host',
    access: 'admin',
    status: 201,
    body: s.CreateJoinToken,
    response: s.JoinToken,
  }),
  enrolHost: defineRoute({
    method: 'POST',
    path: '/hosts/enrol',
    summary: 'Bind a host key by a join token (used by agents)',
    access: 'public',
    status: 201,
    body: s.Enrol,
    response: s.Enrolled,
  }),
  cordonHost: defineRoute({
    method: 'POST',
    path: '/hosts/{host}/cordon',
    summary: 'Take no new tenants',
    access: 'operator',
    status: 200,
    params: host,
    response: s.Host,
  }),
  uncordonHost: defineRoute({
    method: 'POST',
    path: '/hosts/{host}/uncordon',
    summary: 'Take new tenants again',
    access: 'operator',
    status: 200,
    params: host,
    response: s.Host,
  }),
  removeHost: defineRoute({
    method: 'DELETE',
    path: '/hosts/{host}',
    summary: 'Forget a host that carries no tenants',
    access: 'admin',
    status: 200,
    params: host,
    response: done,
  }),
} as const;
