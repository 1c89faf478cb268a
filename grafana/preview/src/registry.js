// Grafana's libraries leave field options and transformations to the application; these are the
// ones that the dashboards use.
import {
  FieldType, Registry, identityOverrideProcessor, standardFieldConfigEditorRegistry,
  standardTransformers, standardTransformersRegistry,
} from '@grafana/data';

const STANDARD = [
  'color', 'decimals', 'displayName', 'links', 'mappings', 'max', 'min', 'noValue', 'thresholds',
  'unit',
];
const CUSTOM = [
  'align', 'cellOptions', 'drawStyle', 'fillOpacity', 'lineInterpolation', 'lineWidth',
  'showPoints', 'spanNulls', 'stacking', 'thresholdsStyle', 'width',
];
// Times keep their own look, whatever the default of the panel is.
const OF_TIMES_TOO = new Set(['color', 'displayName', 'links', 'mappings', 'noValue', 'unit']);

function option(path, isCustom) {
  return {
    id: isCustom ? `custom.${path}` : path,
    path,
    isCustom,
    name: path,
    settings: {},
    editor: () => null,
    override: () => null,
    process: identityOverrideProcessor,
    shouldApply: (field) => isCustom || OF_TIMES_TOO.has(path) || field.type !== FieldType.time,
  };
}

const standard = STANDARD.map((path) => option(path, false));
export const fieldConfigRegistry = new Registry(() => [
  ...standard, ...CUSTOM.map((path) => option(path, true)),
]);

export function register() {
  standardFieldConfigEditorRegistry.setInit(() => standard);
  const { mergeTransformer, filterFieldsByNameTransformer, organizeFieldsTransformer } =
    standardTransformers;
  const used = [mergeTransformer, filterFieldsByNameTransformer, organizeFieldsTransformer,
    standardTransformers.filterFieldsTransformer, standardTransformers.orderFieldsTransformer,
    standardTransformers.renameFieldsTransformer];
  standardTransformersRegistry.setInit(() => used.map((transformer) => ({
    id: transformer.id,
    name: transformer.name,
    transformation: () => Promise.resolve(transformer),
    editor: () => null,
  })));
}
