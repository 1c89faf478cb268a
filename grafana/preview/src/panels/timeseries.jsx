import { TimeSeries } from '@grafana/ui';
import { useLayoutEffect } from 'react';
import { TIME_ZONE } from '../data.js';

export function Graph({ panel, data, width, height, scene, theme }) {
  return (
    <TimeSeries
      frames={data} structureRev={1} timeRange={scene.range} timeZone={TIME_ZONE} width={width}
      height={height} legend={panel.options.legend} options={panel.options}
    >
      {(config) => <Annotations config={config} spans={scene.annotations} theme={theme} />}
    </TimeSeries>
  );
}

// uPlot draws on a canvas, so annotations are a hook of its own drawing.
function Annotations({ config, spans, theme }) {
  useLayoutEffect(() => {
    config.addHook('draw', (plot) => spans.forEach((span) => drawSpan(plot, span, theme)));
  }, [config, spans, theme]);
  return null;
}

function drawSpan(plot, { from, to, color }, theme) {
  const { ctx, bbox } = plot;
  const within = (x) => Math.min(Math.max(x, bbox.left), bbox.left + bbox.width);
  const left = within(plot.valToPos(from, 'x', true)), right = within(plot.valToPos(to, 'x', true));
  ctx.save();
  ctx.fillStyle = theme.visualization.getColorByName(color);
  ctx.globalAlpha = 0.9;
  ctx.fillRect(left, bbox.top, 1.5, bbox.height);
  ctx.globalAlpha = 0.04;
  ctx.fillRect(left, bbox.top, right - left, bbox.height);
  ctx.restore();
}
