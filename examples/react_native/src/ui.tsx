import type { ReactNode } from "react";
import { Pressable, StyleSheet, Text } from "react-native";

interface ButtonProps {
  title: string;
  onPress: () => void;
  disabled?: boolean;
  plain?: boolean;
}

export function Button({ title, onPress, disabled = false, plain = false }: ButtonProps) {
  return (
    <Pressable
      role="button"
      disabled={disabled}
      onPress={onPress}
      style={[styles.button, plain && styles.plain, disabled && styles.disabled]}
    >
      <Text style={[styles.title, plain && styles.plainTitle]}>{title}</Text>
    </Pressable>
  );
}

export function Heading({ children }: { children: ReactNode }) {
  return (
    <Text role="heading" style={styles.heading}>
      {children}
    </Text>
  );
}

/** What there is to say, which a screen reader says too. */
export function Message({ children }: { children: string }) {
  return (
    <Text role="alert" accessibilityLiveRegion="polite" style={children ? styles.message : null}>
      {children}
    </Text>
  );
}

const ACCENT = "#1d4fa8";

export const styles = StyleSheet.create({
  page: { flexGrow: 1, gap: 12, paddingHorizontal: 24, paddingTop: 72, backgroundColor: "#fff" },
  heading: { fontSize: 26, fontWeight: "700", color: "#1d2433" },
  message: { padding: 12, borderLeftWidth: 4, borderColor: ACCENT, backgroundColor: "#f1f3f8" },
  row: { flexDirection: "row", gap: 12 },
  input: {
    padding: 12,
    borderWidth: 1,
    borderColor: "#858fa3",
    borderRadius: 8,
    fontSize: 18,
    color: "#1d2433",
  },
  button: {
    alignItems: "center",
    padding: 14,
    borderWidth: 1,
    borderColor: ACCENT,
    borderRadius: 8,
    backgroundColor: ACCENT,
  },
  plain: { backgroundColor: "transparent" },
  disabled: { opacity: 0.6 },
  title: { fontSize: 16, fontWeight: "600", color: "#fff" },
  plainTitle: { color: ACCENT },
});
