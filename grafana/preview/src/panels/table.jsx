import { TableNG } from '@grafana/ui/unstable';

export function Table({ panel, data, fieldConfig, width, height, scene }) {
  const { cellHeight, showHeader, sortBy } = panel.options;
  return (
    <TableNG
      data={data[0]} width={width} height={height} noHeader={!showHeader} sortBy={sortBy}
      cellHeight={cellHeight} fieldConfig={fieldConfig} timeRange={scene.range} structureRev={1}
      noValue={fieldConfig.defaults.noValue} enablePagination={false} enableVirtualization={false}
    />
  );
}
