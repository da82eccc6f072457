/** @file The JSON schemas of everything that Cuttle writes for others to read; `docs/schemas` holds them as files. */
import * as z from 'zod/mini';
import { preprocessingSchema } from './data/index.js';
import { bakedInfoSchema, designSchema, exitCostsFileSchema, exitsInfoSchema } from './exits/index.js';
import { benchSchema, predictorSchema } from './measure/index.js';
import { profileSchema } from './runtime/index.js';
import { splitProfileSchema } from './split/index.js';
import { adaptersSchema } from './train/index.js';

/** What is published, by the name of its file: where it stands, and the schema that readers here check it with. */
const artefacts = {
  design: {
    title: 'A design: an early-exit configuration for a device and a budget (JSON file)',
    schema: designSchema,
  },
  profile: { title: 'A profile: times per layer of a model on a device (JSON file)', schema: profileSchema },
  'exit-costs': {
    title: 'Exit costs: what the parts of a progressive model take on a device (JSON file)',
    schema: exitCostsFileSchema,
  },
  bench: {
    title: 'A benchmark: times, memory and noise of models in several configurations (JSON file)',
    schema: benchSchema,
  },
  predictor: {
    title: 'A latency predictor: what was learned of the layers of profiled networks (JSON file)',
    schema: predictorSchema,
  },
  'split-profile': {
    title: 'A split profile: what device and cloud choose cut, threshold and bit-width by (JSON file)',
    schema: splitProfileSchema,
  },
  exits: { title: "The metadata entry 'cuttle.exits' of a progressive model (ONNX)", schema: exitsInfoSchema },
  baked: { title: "The metadata entry 'cuttle.baked' of a baked model (ONNX)", schema: bakedInfoSchema },
  adapters: {
    title: "The metadata entry 'cuttle.adapters' of a delta file (safetensors)",
    schema: adaptersSchema,
  },
  preprocessing: { title: "The metadata entry 'cuttle.preprocessing' of a model (ONNX)", schema: preprocessingSchema },
} as const;

export type ArtefactName = keyof typeof artefacts;

/** JSON Schema (draft 2020-12) of every artefact, as it stands in the file: before any value is converted. */
export function artefactSchemas(): Readonly<Record<ArtefactName, Readonly<Record<string, unknown>>>> {
  const entries = Object.entries(artefacts).map(([name, { title, schema }]): [string, Record<string, unknown>] => {
    const { $schema, ...body }: Record<string, unknown> = z.toJSONSchema(schema, { io: 'input' });
    return [name, { $schema, $id: `urn:cuttle:${name}:1`, title, ...body }];
  });
  return Object.fromEntries(entries) as Record<ArtefactName, Readonly<Record<string, unknown>>>;
}

/** The text of a schema's file. */
export function schemaText(schema: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify(schema, null, 2)}\n`;
}
