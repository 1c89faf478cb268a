// What a panel shows: its queries asked, transformed, and dressed with its field options.
import {
  applyFieldOverrides, cacheFieldDisplayNames, transformDataFrame,
} from '@grafana/data';
import { lastValueFrom } from 'rxjs';
import { queryInstant, queryRange, seriesFrames, tableFrame, withGaps } from './prometheus.js';
import { fieldConfigRegistry } from './registry.js';
import { fillIn, stepOf } from './variables.js';

export const TIME_ZONE = 'utc';

async function framesOf(target, panel, scene, width) {
  const from = scene.range.from.valueOf() / 1000, to = scene.range.to.valueOf() / 1000;
  const step = stepOf(to - from, panel.maxDataPoints ?? width);
  const promql = fillIn(target.expr, scene.values, to - from, step);
  const rows = target.instant
    ? await queryInstant(promql, to)
    : withGaps(await queryRange(promql, from, to, step), step);
  if (target.format !== 'table') return seriesFrames(target.refId, rows, target.legendFormat, promql);
  // Of several queries each has a frame, were it empty, and a value of its own name.
  if (panel.targets.length > 1) return [tableFrame(target.refId, rows, `Value #${target.refId}`)];
  return rows.length ? [tableFrame(target.refId, rows, 'Value')] : [];
}

// Grafana's own loader turns a null first step into minus infinity; so must we.
function fieldConfigOf(panel) {
  const config = structuredClone(panel.fieldConfig);
  const thresholds = [config.defaults.thresholds];
  for (const override of config.overrides) {
    thresholds.push(...override.properties.filter((p) => p.id === 'thresholds').map((p) => p.value));
  }
  for (const { steps } of thresholds) steps[0].value = -Infinity;
  return config;
}

export async function readPanel(panel, scene, theme, width) {
  const frames = (await Promise.all(
    panel.targets.map((target) => framesOf(target, panel, scene, width)),
  )).flat();
  const transformed = panel.transformations && frames.length
    ? await lastValueFrom(transformDataFrame(panel.transformations, frames, { interpolate: (s) => s }))
    : frames;
  const fieldConfig = fieldConfigOf(panel);
  const data = applyFieldOverrides({
    data: transformed, fieldConfig, replaceVariables: (text) => text, theme,
    timeZone: TIME_ZONE, fieldConfigRegistry,
  });
  cacheFieldDisplayNames(data);
  return { data, fieldConfig };
}

export async function readAnnotations(dashboard, scene) {
  const from = scene.range.from.valueOf() / 1000, to = scene.range.to.valueOf() / 1000;
  const all = await Promise.all(dashboard.annotations.list.map(async (annotation) => {
    const promql = fillIn(annotation.expr, scene.values, to - from, 60);
    const rows = withGaps(await queryRange(promql, from, to, 60), 60);
    return rows.flatMap((row) => spansOf(row.values).map((span) => ({
      ...span, color: annotation.iconColor,
    })));
  }));
  return all.flat();
}

// Steps that follow each other are one event, from the first to the last.
function spansOf(points) {
  const spans = [];
  let open = null;
  for (const [at, text] of points) {
    if (text === 'NaN') { open = null; continue; }
    if (!open) spans.push(open = { from: at * 1000 });
    open.to = at * 1000;
  }
  return spans;
}
