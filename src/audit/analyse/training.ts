/** @file Ways to train a model on the device: signatures, operators and values that only training needs. */
import type { AuditModel } from '../read/model.js';

const SIGNATURE = /^(train|train_step|fit|update|learn|backward)(_|$)/i;
const STATE_SIGNATURE = /^(save|restore|load|export|import|initiali[sz]e|reset)(_|$)/i;
const OPERATOR =
  /grad(ient)?$|^(broadcastgradientargs|softmaxcrossentropyloss|sparsesoftmaxcrossentropy\w*|adam(w)?optimizer|sgdoptimizer|inplaceaccumulator|resourceapply\w*|applyadam\w*|applygradientdescent|softmaxwithloss|conv2dbackpropfilter|relugrad|poolinggrad)/i;

/** Facts that speak for on-device training, each one sentence part; empty where there are none. */
export function trainingEvidence(model: AuditModel): readonly string[] {
  const found: string[] = [];
  const training = model.signatures.filter(({ name }) => SIGNATURE.test(name));
  for (const { name } of training) found.push(`the signature '${name}'`);
  // Saving and restoring alone is what any model with state may do.
  if (training.length > 0)
    for (const { name } of model.signatures) if (STATE_SIGNATURE.test(name)) found.push(`the signature '${name}'`);
  if (model.format === 'coreml' && model.metadata['updatable'] === 'true')
    found.push('the model says that it can be updated on the device');
  if (model.format === 'ort-checkpoint') found.push('a checkpoint of ONNX Runtime training');
  const operators = new Map<string, number>();
  for (const { op } of model.layers) {
    const plain = op.slice(op.lastIndexOf('.') + 1).replace(/[^A-Za-z0-9]/g, '');
    if (OPERATOR.test(plain)) operators.set(op, (operators.get(op) ?? 0) + 1);
  }
  for (const [op, count] of operators) found.push(`${count} × the operator ${op}`);
  if (model.layers.some(({ op }) => /^AssignVariable|^ASSIGN_VARIABLE|^ReadVariable/i.test(op)) && training.length > 0)
    found.push('variables that are assigned');
  const gradients = model.outputs.filter(({ name }) => /(_grad|\.grad(ient)?)$|^lazy_reset_grad/.test(name)).length;
  if (gradients > 0) found.push(`${gradients} outputs that are gradients`);
  return found;
}
