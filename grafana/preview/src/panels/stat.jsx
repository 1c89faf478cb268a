import { getDisplayValueAlignmentFactors, getFieldDisplayValues } from '@grafana/data';
import { BigValue, VizRepeater } from '@grafana/ui';
import { TIME_ZONE } from '../data.js';

export function Stat({ panel, data, fieldConfig, width, height, theme }) {
  const { colorMode, graphMode, justifyMode, orientation, reduceOptions } = panel.options;
  const { text, textMode, wideLayout } = panel.options;
  const values = () => getFieldDisplayValues({
    fieldConfig, reduceOptions, replaceVariables: (text) => text, theme, data, timeZone: TIME_ZONE,
  });
  return (
    <VizRepeater
      source={data} getValues={values} width={width} height={height} orientation={orientation}
      getAlignmentFactors={getDisplayValueAlignmentFactors} renderCounter={0} autoGrid
      renderValue={({ value, width, height, count, alignmentFactors }) => (
        <BigValue
          value={value.display} count={count} alignmentFactors={alignmentFactors} theme={theme}
          width={width} height={height} colorMode={colorMode} graphMode={graphMode}
          justifyMode={justifyMode} textMode={textMode} text={text}
          disableWideLayout={!wideLayout}
        />
      )}
    />
  );
}
