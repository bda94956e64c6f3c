import { API_PREFIX, routes } from '@berth/shared/api/routes';
import type { RouteDefinition } from '@berth/shared/api/route';
import { ApiError, Event } from '@berth/shared/api/schemas';
import { z } from 'zod';
import { StreamQuery } from './stream.ts';

type Json = Record<string, unknown>;

/** The OpenAPI 3.1 document, made from the same table as server and client. */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {};
  const add = (path: string, method: string, operation: Json): void => {
    paths[path] = { ...paths[path], [method]: operation };
  };
  for (const [name, route] of Object.entries(routes))
    add(`${API_PREFIX}${route.path}`, route.method.toLowerCase(), operationOf(name, route));
  add(`${API_PREFIX}/events/stream`, 'get', streamOperation());
  return {
    openapi: '3.1.0',
    info: {
      title: 'Berth',
      version,
      description: 'One berth for every customer. Times are milliseconds since 1970, sizes bytes.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'berth_api_…' } },
      schemas: { ApiError: schemaOf(ApiError, 'input') },
      responses: {
        Error: {
          description: 'What went wrong, in one sentence, with a stable code.',
          content: { 'application/json': { schema: { $ref: '#/components/schemas/ApiError' } } },
        },
      },
    },
  };
}

function operationOf(name: string, route: RouteDefinition): Json {
  return {
    operationId: name,
    summary: route.summary,
    tags: [route.path.split('/')[1] ?? 'status'],
    ...(route.access === 'public' ? { security: [] } : { description: `Needs the role ${route.access}.` }),
    parameters: [...parametersOf('path', route.params), ...parametersOf('query', route.query)],
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: schemaOf(route.body, 'input') } },
          },
        }),
    responses: {
      [String(route.status)]: {
        description: 'Done as asked.',
        content: { 'application/json': { schema: schemaOf(route.response, 'input') } },
      },
      default: { $ref: '#/components/responses/Error' },
    },
  };
}

function streamOperation(): Json {
  return {
    operationId: 'followEvents',
    summary: 'Events as they happen (server-sent events), after Last-Event-ID or `after`',
    description: 'Needs the role viewer.',
    tags: ['events'],
    parameters: parametersOf('query', StreamQuery),
    responses: {
      '200': {
        description: 'Each `data` line is one event.',
        content: { 'text/event-stream': { schema: schemaOf(Event, 'input') } },
      },
      default: { $ref: '#/components/responses/Error' },
    },
  };
}

const ObjectSchema = z.object({
  properties: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
  required: z.array(z.string()).default([]),
});

function parametersOf(place: 'path' | 'query', schema: z.ZodType | undefined): Json[] {
  if (schema === undefined) return [];
  // As it is after coercion: a number in a query is written as text and meant as a number.
  const { properties, required } = ObjectSchema.parse(schemaOf(schema, 'output'));
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || (required.includes(name) && !('default' in property)),
    schema: property,
  }));
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}
