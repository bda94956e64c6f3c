import fc from 'fast-check';
import { services } from '../support/shapes.ts';

const fate = fc.constantFrom('good' as const, 'good' as const, 'unhealthy' as const, 'unverifiable' as const);
export const generation = fc.record({ shape: services, database: fc.nat(2), fate });
export type Generation = typeof generation extends fc.Arbitrary<infer T> ? T : never;

/** What happens on the way: some steps and a crash, time that passes, a status that is lost. */
export const moment = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('run' as const), budget: fc.nat(40) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(100, 61_000) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('crash' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'lose' as const }) },
);
export type Moment = typeof moment extends fc.Arbitrary<infer T> ? T : never;

/** Generations, what happens while each of them is wanted, which one is gone back to, and what happens then. */
export type Story = [Generation[], Moment[][], number, Moment[]];

const PLAIN: Generation['shape'] = {
  replicas: 1,
  worker: false,
  scheduler: false,
  database: '',
  front: '',
  files: false,
  job: false,
  api: false,
  keptWeb: false,
};

function of(shape: Partial<Generation['shape']> = {}, fated: Generation['fate'] = 'good'): Generation {
  return { shape: { ...PLAIN, ...shape }, database: 0, fate: fated };
}
const run = (budget: number): Moment => ({ kind: 'run', budget });
const crash = (pick: number): Moment => ({ kind: 'crash', pick });
const LOSE: Moment = { kind: 'lose' };

/**
 * A service with a volume is renamed there and back, and the status is lost in between: whoever fails on the way must
 * not bring the one back beside the other.
 */
const RENAMED_AND_LOST: Story = [
  [of({ database: 'store' }), of({ database: 'db' }), of({ database: 'store' }, 'unhealthy')],
  [[], [run(9), LOSE], [run(6), run(3)], []],
  0,
  [],
];

/** The same with one that is recreated each time: the younger one is no keeper, and it keeps serving. */
const RENAMED_BESIDE_COLOUR: Story = [
  [of(), of({ front: 'proxy', keptWeb: true }), of({ front: 'front' }), of({}, 'unhealthy')],
  [[], [run(8)], [run(9), LOSE], [run(5), run(3)]],
  0,
  [],
];

/** The same where the move has switched before it fails: the older one runs, and stops before the younger comes back. */
const RENAMED_AND_RETURNED: Story = [
  [of(), of({ database: 'store' }), of({ database: 'db' }), of({ database: 'store' }, 'unverifiable')],
  [[], [], [run(9), LOSE], [run(10), run(2)]],
  1,
  [],
];

/** What was begun and given up before the one that is gone back from still holds the volume, under another name. */
const RENAMED_BEFORE: Story = [
  [of({ front: 'front' }), of(), of({ front: 'proxy' }, 'unverifiable'), of()],
  [[], [], [run(9)], [run(2), run(5)]],
  0,
  [],
];

/** A route still leads to what crashed and was removed: nobody new is born there, before anybody knows his health. */
const ROUTED_TO_NOBODY: Story = [[of(), of(), of()], [[], [run(5), crash(1)], [run(1), run(3)], []], 0, []];

/** What is gone back to has the route already, from a return that was left: that is no sign that all of it is there. */
const ROUTED_IN_PART: Story = [
  [
    of(),
    of({ files: true, job: true, api: true }),
    of({ front: 'front', scheduler: true }),
    of({}, 'unhealthy'),
  ],
  [[], [], [run(12), crash(777900757), run(4)], [run(5), run(2)]],
  1,
  [run(1), crash(0)],
];

/** Stories that once went wrong, as short as they can be told. */
export const ONCE_WRONG: Story[] = [
  RENAMED_AND_LOST,
  RENAMED_BESIDE_COLOUR,
  RENAMED_AND_RETURNED,
  RENAMED_BEFORE,
  ROUTED_TO_NOBODY,
  ROUTED_IN_PART,
];
