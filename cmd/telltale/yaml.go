package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// yamlFile resolves flags from a YAML mapping whose keys are the flags' names.
type yamlFile map[string]any

func loadYAML(r io.Reader) (kong.Resolver, error) {
	file := yamlFile{}
	if err := yaml.NewDecoder(r).Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	return file, nil
}

// Validate refuses keys that no flag has: a misspelt key would otherwise be a setting that is not set.
func (f yamlFile) Validate(app *kong.Application) error {
	known := map[string]bool{}
	collectFlags(app.Node, known)
	for key := range f {
		if !known[key] {
			return fmt.Errorf("configuration file: unknown key %q; known are %s", key, strings.Join(sortedKeys(known), ", "))
		}
	}
	return nil
}

// Resolve returns the file's value for a flag, or nil.
func (f yamlFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	switch value := f[flag.Name].(type) {
	case nil:
		return nil, nil
	case []any:
		parts := make([]string, len(value))
		for i := range value {
			parts[i] = fmt.Sprint(value[i])
		}
		return strings.Join(parts, ","), nil
	case map[string]any:
		return nil, fmt.Errorf("configuration file: %s takes a value, not a mapping", flag.Name)
	default:
		return fmt.Sprint(value), nil
	}
}

func collectFlags(node *kong.Node, known map[string]bool) {
	for _, flag := range node.Flags {
		if flag.Name != "help" && flag.Name != "version" && flag.Name != "config" {
			known[flag.Name] = true
		}
	}
	for _, child := range node.Children {
		collectFlags(child, known)
	}
}

func sortedKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// effectiveConfig is the parsed command line, for the log.
type effectiveConfig struct{ parsed *kong.Context }

// LogValue lists every flag with its value; passwords in URLs are masked.
func (c *effectiveConfig) LogValue() slog.Value {
	var attributes []slog.Attr
	for _, flag := range c.parsed.Flags() {
		if flag.Name == "help" || flag.Name == "version" {
			continue
		}
		attributes = append(attributes, slog.String(flag.Name, masked(fmt.Sprint(c.parsed.FlagValue(flag)))))
	}
	return slog.GroupValue(attributes...)
}

// password is that of an address, which url.Parse does not understand where it names several hosts. It ends at the last @, as ClickHouse has it.
var password = regexp.MustCompile(`(://[^:@/?]*:)[^/?]*(@)|([?&]password=)[^&]*`)

func masked(value string) string { return password.ReplaceAllString(value, "${1}${3}xxxxx${2}") }
