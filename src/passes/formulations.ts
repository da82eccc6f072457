/** @file Decisions between formulations: what a gradient rule may emit in several ways, and who decides. */
import type { Attribute, Node, TensorType } from '../ir/index.js';

/** One choice that a gradient rule leaves open. Decisions of equal keys are about the same work. */
export interface FormulationDecision {
  /** What is decided, such as `conv-weight`. */
  readonly what: string;
  readonly node: Node;
  /** The version of its operator set that the node is written for. */
  readonly opset: number;
  /** The input whose gradient is formed. */
  readonly input: number;
  /** Types of the node's inputs; `undefined` where omitted. */
  readonly types: readonly (TensorType | undefined)[];
  readonly candidates: readonly string[];
  /** What the rule emits if nobody decides otherwise. */
  readonly preferred: string;
}

/** Decides; `undefined` leaves the rule its own preference. */
export type ChooseFormulation = (decision: FormulationDecision) => string | undefined;

/** The candidate that `choose` names; the preferred one where it names none or one that does not apply. */
export function chosenFormulation<Name extends string>(
  choose: ChooseFormulation | undefined,
  decision: Omit<FormulationDecision, 'types' | 'candidates' | 'preferred'>,
  typeOf: (value: string) => TensorType,
  candidates: readonly Name[],
  preferred: Name,
): Name {
  if (choose === undefined || candidates.length === 1) return preferred;
  const types = decision.node.inputs.map((input) => (input === '' ? undefined : typeOf(input)));
  const name = choose({ ...decision, types, candidates, preferred });
  return candidates.find((candidate) => candidate === name) ?? preferred;
}

/** What a decision depends on, as text: the operator, its attributes, the types of its inputs. */
export function formulationKey({ what, node, types }: FormulationDecision): string {
  const attributes = [...node.attributes].map(([name, attribute]) => `${name}=${textOf(attribute)}`).sort();
  const inputs = types.map((type) =>
    type === undefined ? '-' : `${type.dtype}[${type.shape?.map((dim) => dim ?? '?').join() ?? '*'}]`,
  );
  return [what, node.op, ...attributes, ...inputs].join(' ');
}

function textOf(attribute: Attribute): string {
  switch (attribute.type) {
    case 'int':
    case 'float':
    case 'string':
    case 'ints':
    case 'floats':
    case 'strings':
      return String(attribute.value);
    default:
      return attribute.type;
  }
}
