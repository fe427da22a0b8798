package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The structs below are the JSON form of the frames, field by field.

type textHello struct {
	Type       string    `json:"type"`
	Token      string    `json:"token,omitempty"`
	Agent      textAgent `json:"agent"`
	Epochs     []string  `json:"epochs,omitempty"`
	IntervalMS uint64    `json:"interval_ms,omitempty"`
	Time       int64     `json:"time,omitempty"`
}

type textAgent struct {
	ID         string     `json:"id"`
	Labels     textLabels `json:"labels,omitempty"`
	Attributes textLabels `json:"attributes,omitempty"`
}

type textWelcome struct {
	Type       string            `json:"type"`
	Session    string            `json:"session"`
	Epochs     map[string]uint64 `json:"epochs"`
	ServerTime int64             `json:"server_time"`
	Limits     textLimits        `json:"limits"`
	LiveOnly   bool              `json:"live_only,omitempty"`
}

// textLimits has the fields of Limits in the same order, so that each converts to the other.
type textLimits struct {
	FrameBytes          int `json:"frame_bytes"`
	SamplesPerBatch     int `json:"samples_per_batch"`
	SeriesPerConnection int `json:"series_per_connection"`
	LabelsPerSeries     int `json:"labels_per_series"`
	LabelNameBytes      int `json:"label_name_bytes"`
	LabelValueBytes     int `json:"label_value_bytes"`
	MetricBytes         int `json:"metric_bytes"`
	Epochs              int `json:"epochs"`
	MaxInFlight         int `json:"max_in_flight"`
}

type textAck struct {
	Type    string        `json:"type"`
	Epoch   string        `json:"epoch"`
	Seq     uint64        `json:"seq"`
	Refused []textRefused `json:"refused,omitempty"`
	Unnamed uint64        `json:"refused_unnamed,omitempty"`
}

type textRefused struct {
	Seq    uint64 `json:"seq"`
	Index  int    `json:"index"`
	Reason Reason `json:"reason"`
}

type textGap struct {
	Type   string `json:"type"`
	Epoch  string `json:"epoch,omitempty"`
	Seq    uint64 `json:"seq"`
	ToSeq  uint64 `json:"to_seq"`
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	Count  uint64 `json:"count"`
	Reason string `json:"reason,omitempty"`
}

type textNotice struct {
	Type  string `json:"type"`
	Level string `json:"level"`
	Text  string `json:"text"`
}

type textConfig struct {
	Type       string `json:"type"`
	IntervalMS uint64 `json:"interval_ms"`
}

type textSlow struct {
	Type        string `json:"type"`
	MaxInFlight int    `json:"max_in_flight"`
	LiveOnly    bool   `json:"live_only"`
}

type textError struct {
	Type    string `json:"type"`
	Code    string `json:"code"`
	Message string `json:"message"`
	RetryMS uint64 `json:"retry_ms,omitempty"`
}

// textLabels is an object of names and values, kept in a slice so that a name that stands
// twice is seen, and an object of a million names costs no more than keptLabels.
type textLabels []Label

// keptLabels is how many labels of one object are read; it bounds Limits.LabelsPerSeries.
const keptLabels = 256

// MarshalJSON writes an object.
func (l textLabels) MarshalJSON() ([]byte, error) {
	object := make(map[string]string, len(l))
	for _, label := range l {
		object[label.Name] = label.Value
	}
	return json.Marshal(object)
}

// UnmarshalJSON reads an object of strings.
func (l *textLabels) UnmarshalJSON(data []byte) error {
	*l = nil
	if string(data) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return errors.New("labels and attributes must be an object of strings")
	}
	for d.More() && len(*l) <= keptLabels {
		name, err := d.Token()
		if err != nil {
			return err
		}
		value, err := d.Token()
		if err != nil {
			return err
		}
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("label %.80q must be a string", name)
		}
		*l = append(*l, Label{Name: name.(string), Value: text})
	}
	return nil
}

func fromMilliseconds(ms uint64) time.Duration {
	return time.Duration(min(ms, maxMilliseconds)) * time.Millisecond
}
