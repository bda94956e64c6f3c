import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { API_PREFIX, routes } from '@berth/shared/api/routes';
import { openApiDocument } from '../../src/http/openapi.ts';

/** The parts of OpenAPI 3.1's own structure that our document uses, strictly. */
const Ref = z.strictObject({ $ref: z.string().startsWith('#/components/') });
const Schema = z.record(z.string(), z.unknown());
const Media = z.record(z.string(), z.strictObject({ schema: Schema }));
const ResponseObject = z.strictObject({ description: z.string().min(1), content: Media });
const Operation = z.strictObject({
  operationId: z.string().regex(/^\w+$/),
  summary: z.string().min(1),
  description: z.string().optional(),
  tags: z.array(z.string()).min(1),
  security: z.array(z.record(z.string(), z.array(z.string()))).optional(),
  parameters: z.array(
    z.strictObject({
      name: z.string(),
      in: z.enum(['path', 'query']),
      required: z.boolean(),
      schema: Schema,
    }),
  ),
  requestBody: z.strictObject({ required: z.literal(true), content: Media }).optional(),
  responses: z.record(z.string().regex(/^([1-5]\d\d|default)$/), z.union([Ref, ResponseObject])),
});
const Document = z.strictObject({
  openapi: z.literal('3.1.0'),
  info: z.strictObject({
    title: z.string(),
    version: z.string(),
    description: z.string(),
    license: z.strictObject({ name: z.string(), identifier: z.string() }),
  }),
  servers: z.array(z.strictObject({ url: z.string() })),
  security: z.array(z.record(z.string(), z.array(z.string()))),
  paths: z.record(
    z.string().startsWith('/'),
    z.partialRecord(z.enum(['get', 'put', 'post', 'patch', 'delete']), Operation),
  ),
  components: z.strictObject({
    securitySchemes: z.record(z.string(), Schema),
    schemas: z.record(z.string(), Schema),
    responses: z.record(z.string(), ResponseObject),
  }),
});

const document = Document.parse(JSON.parse(JSON.stringify(openApiDocument('1.2.3'))));

describe('the OpenAPI document', () => {
  test('has every route of the table, once, with its status', () => {
    for (const [name, route] of Object.entries(routes)) {
      const method = z.enum(['get', 'put', 'post', 'patch', 'delete']).parse(route.method.toLowerCase());
      const operation = document.paths[`${API_PREFIX}${route.path}`]?.[method];
      expect(operation?.operationId).toBe(name);
      expect(Object.keys(operation?.responses ?? {})).toEqual([String(route.status), 'default']);
      expect(operation?.security, name).toEqual(route.access === 'public' ? [] : undefined);
    }
    const ids = Object.values(document.paths).flatMap((path) =>
      Object.values(path).map((operation) => operation?.operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toHaveLength(Object.keys(routes).length + 1);
  });

  test('declares each parameter of a path, and only those', () => {
    for (const [path, operations] of Object.entries(document.paths)) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => String(match[1])).sort();
      for (const operation of Object.values(operations)) {
        const declared = operation?.parameters.filter((each) => each.in === 'path') ?? [];
        expect(declared.map((each) => each.name).sort(), path).toEqual(named);
        expect(declared.every((each) => each.required)).toBe(true);
      }
    }
  });

  test('refers only to what it has', () => {
    const text = JSON.stringify(document);
    for (const [, section, name] of text.matchAll(/"#\/components\/(\w+)\/(\w+)"/g)) {
      const components: Record<string, Record<string, unknown>> = document.components;
      expect(components[section ?? '']?.[name ?? ''], `${section}/${name}`).toBeDefined();
    }
    expect(text).toContain('#/components/responses/Error');
  });

  test('says which fields a body needs and which have a default', () => {
    const body =
      document.paths[`${API_PREFIX}/tenants`]?.post?.requestBody?.content['application/json']?.schema;
    expect(body).toMatchObject({
      type: 'object',
      required: ['tenant', 'app', 'domains'],
      additionalProperties: false,
    });
    const limit = document.paths[`${API_PREFIX}/tenants`]?.get?.parameters.find(
      (each) => each.name === 'limit',
    );
    expect(limit).toMatchObject({ required: false, schema: { type: 'integer', default: 200 } });
  });
});
