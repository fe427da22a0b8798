package collect

import (
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v3/host"

	"telltale/ingest/wire"
)

func newTemperature(interval time.Duration) reader {
	sensors := newTable(interval, func(id string) *wire.Series {
		return gauge("hw.temperature", "Cel", interval, wire.Label{Name: "hw.id", Value: id})
	})
	return func(r *readings) error {
		// Beside an error stand the sensors that could be read: a drive asleep has no temperature.
		found, err := host.SensorsTemperatures()
		sensors.begin()
		addTemperatures(r, sensors, found)
		if err != nil && len(found) == 0 {
			return fmt.Errorf("read temperatures: %w", err)
		}
		return nil
	}
}

// addTemperatures tells sensors of one name apart by their order, which is the kernel's and
// stays: the second is name_2.
func addTemperatures(r *readings, sensors *table[string, *wire.Series], found []host.TemperatureStat) {
	times := make(map[string]int, len(found))
	for _, t := range found {
		id := t.SensorKey
		times[id]++
		if n := times[id]; n > 1 {
			id = fmt.Sprintf("%s_%d", id, n)
		}
		if !plausible(t.Temperature) {
			continue
		}
		if s := sensors.get(r, id); s != nil {
			r.add(*s, round(t.Temperature, temperatureSteps))
		}
	}
}

// plausible leaves out what chips report for a sensor that is not connected: 0, -128 or 65,261 degrees.
func plausible(celsius float64) bool { return celsius != 0 && celsius > -100 && celsius < 250 }
